//! Runs clauses as named tests.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use session_core::Capabilities;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::context::random_namespace;
use crate::report::Result as ClauseResult;
use crate::variant::Variant;
use crate::{Clause, Context, Finding, Harness, Report, Subject, Verdict, clauses};

/// Environment variable with the path to which [`run`] writes its [`Report`] as JSON.
const REPORT: &str = "CONFORMANCE_REPORT";
/// Environment variable that makes [`run_variants`] check every clause.
const FULL: &str = "CONFORMANCE_FULL";

/// Runs the suite as a test program: `fn main() -> ExitCode { session_conformance::run(MyHarness) }`.
///
/// It takes the arguments of `cargo test`: a filter, `--list`, `--exact`, `--skip`, `--test-threads`.
/// A clause is shown as ignored, with the reason, if the store lacks what it requires.
/// The results are written as JSON to the path in `CONFORMANCE_REPORT`, if that is set.
///
/// ```no_run
/// # use std::sync::Arc;
/// #
/// # use session_conformance::{Harness, Subject};
/// # use session_core::{Result, Store, async_trait};
/// # use session_store_memory::MemoryStore;
/// #
/// # struct Memory;
/// #
/// # #[async_trait]
/// # impl Harness for Memory {
/// #     async fn subject(&self) -> Result<Subject> {
/// #         Ok(Subject::new("session-store-memory", "0.1.0").without_namespaces())
/// #     }
/// #
/// #     async fn open(&self, _namespace: &str) -> Result<Arc<dyn Store>> {
/// #         Ok(Arc::new(MemoryStore::new()))
/// #     }
/// # }
/// fn main() -> std::process::ExitCode {
///     session_conformance::run(Memory)
/// }
/// ```
pub fn run(harness: impl Harness) -> ExitCode {
    run_parts(vec![Part { prefix: String::new(), variant: None, suite: Arc::new(Suite::new(harness)) }])
}

/// Runs the suite over variants of a store as one test program: `prefix::clause` for each clause that the variant can break, and for
/// every clause if `CONFORMANCE_FULL` is set.
///
/// Everything else is as with [`run`].
///
/// ```no_run
/// # use std::process::ExitCode;
/// # use std::sync::Arc;
/// # use session_conformance::{Harness, Subject};
/// # use session_core::{Result, Store, async_trait};
/// # use session_store_memory::MemoryStore;
/// use session_conformance::variant::{SESSION_POOLER, TRANSACTION_POOLER};
/// #
/// # struct Pooled(&'static str);
/// #
/// # #[async_trait]
/// # impl Harness for Pooled {
/// #     async fn subject(&self) -> Result<Subject> {
/// #         Ok(Subject::new("session-store-memory", "0.1.0").without_namespaces())
/// #     }
/// #
/// #     async fn open(&self, _namespace: &str) -> Result<Arc<dyn Store>> {
/// #         Ok(Arc::new(MemoryStore::new()))
/// #     }
/// # }
/// fn main() -> ExitCode {
///     session_conformance::run_variants(vec![
///         ("transaction", &TRANSACTION_POOLER, Arc::new(Pooled("transaction"))),
///         ("session", &SESSION_POOLER, Arc::new(Pooled("session"))),
///     ])
/// }
/// ```
pub fn run_variants(variants: Vec<(&str, &'static Variant, Arc<dyn Harness>)>) -> ExitCode {
    let part = |(prefix, variant, harness): (&str, _, _)| Part {
        prefix: format!("{prefix}::"),
        variant: Some(variant),
        suite: Arc::new(Suite { harness, known: OnceCell::new() }),
    };
    run_parts(variants.into_iter().map(part).collect())
}

/// A subject of a test program.
struct Part {
    /// Text before the names of its clauses.
    prefix: String,
    variant: Option<&'static Variant>,
    suite: Arc<Suite>,
}

fn run_parts(parts: Vec<Part>) -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("the suite cannot start its runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let full = std::env::var_os(FULL).is_some();
    let (mut trials, mut reports) = (Vec::new(), Vec::new());
    for Part { prefix, variant, suite } in parts {
        let findings = Arc::new(Mutex::new(Vec::new()));
        let checked = |clause: &&Clause| full || variant.is_none_or(|variant| variant.can_break(clause));
        trials.extend(clauses().filter(checked).map(|clause| {
            let name = format!("{prefix}{}", clause.name);
            trial(name, clause, Arc::clone(&suite), Arc::clone(&runtime), Arc::clone(&findings))
        }));
        reports.push((suite, findings));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let reports = reports.into_iter().map(|(suite, findings)| {
        let findings = std::mem::take(&mut *findings.lock().unwrap_or_else(PoisonError::into_inner));
        suite.report(findings)
    });
    let reports: Vec<_> = reports.collect();
    if let (false, Some(path)) = (arguments.list, std::env::var_os(REPORT).map(PathBuf::from)) {
        let json = match &reports[..] {
            [report] => serde_json::to_vec_pretty(report),
            several => serde_json::to_vec_pretty(several),
        };
        if let Err(error) = json.map_err(Into::into).and_then(|json| std::fs::write(&path, json)) {
            eprintln!("the report cannot be written to {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    conclusion.exit_code()
}

fn trial(
    name: String,
    clause: &'static Clause,
    suite: Arc<Suite>,
    on: Arc<Runtime>,
    findings: Arc<Mutex<Vec<Finding>>>,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let finding = on.block_on(suite.check(clause));
        let result = finding.result.clone();
        findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
        match result {
            ClauseResult::Passed => Ok(Completion::Completed),
            ClauseResult::Ignored(why) => Ok(Completion::ignored_with(why)),
            ClauseResult::Failed(why) => Err(Failed::from(format!("promised: {}\n{why}", clause.promise))),
        }
    })
}

/// Runs single clauses over one harness, for programs that want [`Finding`]s instead of a test run.
///
/// ```
/// use std::sync::Arc;
///
/// use session_conformance::{ClauseResult, Harness, Subject, Suite, clauses};
/// use session_core::{Result, Store, async_trait};
/// use session_store_memory::MemoryStore;
///
/// struct Memory;
///
/// #[async_trait]
/// impl Harness for Memory {
///     async fn subject(&self) -> Result<Subject> {
///         Ok(Subject::new("session-store-memory", "0.1.0").without_namespaces())
///     }
///
///     async fn open(&self, _namespace: &str) -> Result<Arc<dyn Store>> {
///         Ok(Arc::new(MemoryStore::new()))
///     }
/// }
///
/// # #[tokio::main(flavor = "multi_thread", worker_threads = 2)] async fn main() {
/// let suite = Suite::new(Memory);
/// let clause = clauses().find(|clause| clause.name == "create.exists").unwrap();
/// let finding = suite.check(clause).await;
/// assert_eq!(finding.result, ClauseResult::Passed);
/// println!("{}", serde_json::to_string(&suite.report(vec![finding])).unwrap());
/// # }
/// ```
pub struct Suite {
    harness: Arc<dyn Harness>,
    known: OnceCell<session_core::Result<(Arc<Subject>, Capabilities)>>,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite").finish_non_exhaustive()
    }
}

impl Suite {
    /// Creates a suite over `harness`.
    pub fn new(harness: impl Harness) -> Self {
        Self { harness: Arc::new(harness), known: OnceCell::new() }
    }

    /// Runs one clause in a namespace of its own. Must be called on a multi-threaded tokio runtime.
    ///
    /// The clause fails if the store panics, if a call never ends, or if the harness cannot open the store.
    pub async fn check(&self, clause: &'static Clause) -> Finding {
        let begun = Instant::now();
        let result = self.outcome(clause).await;
        Finding::new(clause, result, begun.elapsed())
    }

    /// Builds a report from these findings.
    pub fn report(&self, findings: Vec<Finding>) -> Report {
        let subject = self.known.get().and_then(|known| known.as_ref().ok()).map(|(subject, _)| &**subject);
        Report::new(subject, findings)
    }

    async fn outcome(&self, clause: &'static Clause) -> ClauseResult {
        let (subject, capabilities) = match self.known.get_or_init(|| self.ask()).await {
            Ok((subject, capabilities)) => (subject, capabilities),
            Err(error) => return ClauseResult::Failed(format!("the store cannot be opened: {error}")),
        };
        if let Some(need) = clause.unmet(capabilities, subject) {
            return ClauseResult::Ignored(format!("needs {need}"));
        }
        let context = Context::new(Arc::clone(&self.harness), Arc::clone(subject), *capabilities);
        let result = carry_out(clause, context.clone(), subject.clause_limit).await;
        context.clean().await;
        result
    }

    /// Asks the harness for its subject, and an instance for the store's capabilities.
    async fn ask(&self) -> session_core::Result<(Arc<Subject>, Capabilities)> {
        let subject = self.harness.subject().await?;
        let namespace = random_namespace();
        let capabilities = self.harness.open(&namespace).await?.capabilities();
        self.harness.clean(&namespace).await;
        Ok((Arc::new(subject), capabilities))
    }
}

/// Runs the clause as a task, so that a panic or a hang ends only this clause.
async fn carry_out(clause: &'static Clause, context: Context, limit: Duration) -> ClauseResult {
    let mut task = tokio::spawn((clause.run)(context));
    let verdict: Verdict = match tokio::time::timeout(limit, &mut task).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(broken)) => return ClauseResult::Failed(words(broken)),
        Err(_) => {
            task.abort();
            return ClauseResult::Failed(format!("it hangs: not over after {} s", limit.as_secs()));
        }
    };
    match verdict {
        Ok(()) => ClauseResult::Passed,
        Err(failure) => ClauseResult::Failed(failure.to_string()),
    }
}

fn words(broken: tokio::task::JoinError) -> String {
    let Ok(payload) = broken.try_into_panic() else { return "it was aborted".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without words"))
}
