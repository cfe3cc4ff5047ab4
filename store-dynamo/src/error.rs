//! Translation of errors of DynamoDB and its driver.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::describe_time_to_live::DescribeTimeToLiveError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_time_to_live::UpdateTimeToLiveError;
use session_core::{Error, ErrorKind};
use session_store_kit::TIMED_OUT;

use crate::items::Item;

/// Reason why a request failed.
pub(crate) enum Failure {
    /// The condition does not hold. Contains the stored item, if the server returned one.
    Refused(Option<Item>),
    /// The server has certainly not carried out the request. A retry may work soon.
    Busy(Error),
    /// The server refused the request, with this error code.
    Denied(Error, String),
    /// There was no answer. The request may or may not have been carried out.
    Lost(Error),
}

impl Failure {
    /// Returns the error of a request that has no condition.
    pub(crate) fn error(self) -> Error {
        match self {
            Self::Refused(_) => Error::fixed(ErrorKind::Other, "DynamoDB refused a condition that was not made"),
            Self::Busy(error) | Self::Denied(error, _) | Self::Lost(error) => error,
        }
    }
}

/// Returns the error for a builder of the driver that misses a part, which never happens here.
pub(crate) fn incomplete(error: BuildError) -> Error {
    Error::fixed(ErrorKind::Other, "a request to DynamoDB is incomplete").with_source(&error)
}

/// An operation's error with details besides its code.
pub(crate) trait Explains: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static {
    /// Returns `Some` if the condition did not hold, with the stored item if the server returned one.
    fn refused(&self) -> Option<Option<Item>> {
        None
    }

    /// Whether a transaction failed because of another one, or of throttling.
    fn is_busy(&self) -> bool {
        false
    }
}

macro_rules! explains {
    ($($plain:ident)*; $($conditional:ident)*) => {
        $(impl Explains for $plain {})*
        $(impl Explains for $conditional {
            fn refused(&self) -> Option<Option<Item>> {
                match self {
                    Self::ConditionalCheckFailedException(failed) => Some(failed.item.clone()),
                    _ => None,
                }
            }
        })*
    };
}

explains! {
    GetItemError BatchGetItemError QueryError ScanError
    DescribeTableError CreateTableError DescribeTimeToLiveError UpdateTimeToLiveError;
    PutItemError UpdateItemError DeleteItemError
}

impl Explains for TransactWriteItemsError {
    /// Only the first write of a transaction, the session's, has a condition.
    fn refused(&self) -> Option<Option<Item>> {
        let Self::TransactionCanceledException(cancelled) = self else { return None };
        let reason = cancelled.cancellation_reasons().first()?;
        (reason.code() == Some("ConditionalCheckFailed")).then(|| reason.item().cloned())
    }

    fn is_busy(&self) -> bool {
        let Self::TransactionCanceledException(cancelled) = self else { return false };
        let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
        codes
            .into_iter()
            .any(|code| matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"))
    }
}

/// Phase in which an error occurs. What an operator must mend is an outage in use, because the store could be opened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Opening,
    InUse,
}

impl Moment {
    /// Returns the kind of error for refused or missing credentials, a missing right or table, and an error that is not known.
    const fn kind(self) -> ErrorKind {
        match self {
            Self::Opening => ErrorKind::Config,
            Self::InUse => ErrorKind::Unavailable,
        }
    }
}

/// Beginnings of the error codes for credentials that are unknown, invalid or expired.
const CREDENTIALS: [&str; 7] = [
    "ExpiredToken",
    "UnrecognizedClient",
    "InvalidSignature",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "InvalidClientTokenId",
    "RequestExpired",
];

/// Classifies an error.
pub(crate) fn meaning<E: Explains>(error: &SdkError<E, HttpResponse>, moment: Moment) -> Failure {
    match error {
        SdkError::ServiceError(answer) => {
            let (said, status) = (answer.err(), answer.raw().status().as_u16());
            match said.refused() {
                Some(item) => Failure::Refused(item),
                None if said.is_busy() => Failure::Busy(Error::fixed(
                    ErrorKind::Unavailable,
                    "DynamoDB was busy with other transactions until the time-out",
                )),
                None => answered(said.code(), said.message(), status, moment),
            }
        }
        SdkError::TimeoutError(_) => Failure::Lost(TIMED_OUT),
        SdkError::DispatchFailure(failed) if failed.is_timeout() => Failure::Lost(TIMED_OUT),
        SdkError::DispatchFailure(failed) if failed.is_io() && moment == Moment::Opening && is_tls(error) => Failure::Lost(
            Error::fixed(
                ErrorKind::Config,
                "no TLS connection to DynamoDB; check the certificate of the server, and the option tls of the URL",
            )
            .with_source(error),
        ),
        SdkError::DispatchFailure(failed) if failed.is_io() => {
            Failure::Lost(Error::fixed(ErrorKind::Unavailable, "DynamoDB cannot be reached").with_source(error))
        }
        SdkError::ResponseError(_) => {
            Failure::Lost(Error::fixed(ErrorKind::Unavailable, "DynamoDB's answer was cut short").with_source(error))
        }
        // Nothing was sent.
        _ => Failure::Lost(
            Error::fixed(
                moment.kind(),
                "no request was sent to DynamoDB; check the credentials and the certificate of the server, and `tls` in the URL",
            )
            .with_source(error),
        ),
    }
}

/// Whether a connection failed because of TLS. The driver reports it like any failure to connect; the texts are those of rustls.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).any(|text| {
        ["InvalidContentType", "corrupt message", "invalid peer certificate", "received fatal alert"]
            .iter()
            .any(|mark| text.contains(mark))
    })
}

fn answered(code: Option<&str>, message: Option<&str>, status: u16, moment: Moment) -> Failure {
    use ErrorKind::{Config, TooLarge, Unavailable};
    let name = code.unwrap_or("no code");
    let message = message.unwrap_or_default();
    let said = |kind, message: &str| match message {
        "" => Error::new(kind, format!("DynamoDB answered {name} ({status})")),
        _ => Error::new(kind, format!("DynamoDB answered {name} ({status}): {message}")),
    };
    let denied = |kind, message| Failure::Denied(said(kind, message), name.to_owned());
    match name {
        // The request was not carried out.
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TransactionConflictException"
        | "ReplicatedWriteConflictException" => Failure::Busy(said(Unavailable, message)),
        // The message names the action and the table. The table existed when the store was opened, so its absence in use is an outage.
        "AccessDeniedException" | "ResourceNotFoundException" => denied(moment.kind(), message),
        // The signature holds the time, and AWS takes one that is at most five minutes off.
        _ if message.starts_with("Signature expired")
            || message.starts_with("Signature not yet")
            || name == "RequestTimeTooSkewed" =>
        {
            let text =
                "AWS refuses the request because of its time; the clock of this machine is minutes off, set it by NTP";
            Failure::Denied(Error::fixed(moment.kind(), text), name.to_owned())
        }
        _ if CREDENTIALS.iter().any(|code| name.starts_with(code)) => denied(moment.kind(), message),
        _ if status >= 500 || name == "TransactionInProgressException" => Failure::Lost(said(Unavailable, "")),
        _ if status == 413 || message.contains("size has exceeded") => denied(TooLarge, ""),
        // At open the request holds only names, and nothing but another configuration helps.
        _ if moment == Moment::Opening && code.is_none() => Failure::Denied(
            Error::new(
                Config,
                format!(
                    "what answers with status {status} does not speak DynamoDB's protocol; check host and port, and `tls`"
                ),
            ),
            name.to_owned(),
        ),
        _ if moment == Moment::Opening => denied(Config, message),
        // The message is left out because it may quote a value.
        _ => denied(moment.kind(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(failure: Failure) -> ErrorKind {
        failure.error().kind()
    }

    fn in_use(code: &str, message: &str) -> Failure {
        answered(Some(code), Some(message), 400, Moment::InUse)
    }

    #[test]
    fn throttling_comes_again_and_an_outage_is_unavailable() {
        for code in ["ThrottlingException", "ProvisionedThroughputExceededException", "TransactionConflictException"] {
            assert!(matches!(in_use(code, ""), Failure::Busy(_)), "{code}");
        }
        for (code, status) in [(Some("InternalServerError"), 500), (Some("ServiceUnavailable"), 503), (None, 502)] {
            let failure = answered(code, None, status, Moment::InUse);
            assert!(matches!(failure, Failure::Lost(_)), "{code:?}: whether it was done is unknown");
            assert_eq!(kind(failure), ErrorKind::Unavailable);
        }
    }

    #[test]
    fn a_value_is_not_repeated() {
        let large = in_use("ValidationException", "Item size has exceeded the maximum allowed size");
        assert_eq!(kind(large), ErrorKind::TooLarge);
        let quoted = in_use("ValidationException", "wrong value: hunter2").error();
        assert_eq!(quoted.kind(), ErrorKind::Unavailable);
        assert!(!format!("{quoted:?}").contains("hunter2"));
    }

    #[test]
    fn what_an_operator_must_mend_is_config_at_open_and_an_outage_in_use() {
        for code in [
            "AccessDeniedException",
            "AnUnknownException",
            "ResourceNotFoundException",
            "ExpiredTokenException",
            "UnrecognizedClientException",
            "InvalidSignatureException",
        ] {
            assert_eq!(kind(in_use(code, "no")), ErrorKind::Unavailable, "{code}");
            assert_eq!(kind(answered(Some(code), None, 400, Moment::Opening)), ErrorKind::Config, "{code}");
        }
    }
}
