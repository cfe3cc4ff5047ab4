//! Runs the session clauses in MessagePack, and with two processes that are set to different codecs.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use session_conformance::{ClauseResult, Harness, Subject, Suite, clauses};
use session_core::{Codec, Result, Store, async_trait};
use session_store_memory::MemoryStore;

struct Memory([Codec; 2]);

#[async_trait]
impl Harness for Memory {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("memory", env!("CARGO_PKG_VERSION")).without_namespaces().codecs(self.0))
    }

    async fn open(&self, _: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

fn main() -> ExitCode {
    let (json, packed) = (Codec::Json, Codec::MessagePack);
    let pairs = [
        ("messagepack", [packed, packed]),
        ("json-and-messagepack", [json, packed]),
        ("messagepack-and-json", [packed, json]),
    ];
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => panic!("no runtime: {error}"),
    };
    let mut trials = Vec::new();
    for (name, codecs) in pairs {
        let suite = Arc::new(Suite::new(Memory(codecs)));
        for clause in clauses().filter(|clause| clause.name.starts_with("session.")) {
            let (suite, runtime) = (Arc::clone(&suite), Arc::clone(&runtime));
            trials.push(Trial::ignorable_test(format!("{name}::{}", clause.name), move || {
                match runtime.block_on(suite.check(clause)).result {
                    ClauseResult::Passed => Ok(Completion::Completed),
                    ClauseResult::Ignored(why) => Ok(Completion::ignored_with(why)),
                    ClauseResult::Failed(why) => Err(Failed::from(why)),
                }
            }));
        }
    }
    assert!(!trials.is_empty(), "there are no session clauses");
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
