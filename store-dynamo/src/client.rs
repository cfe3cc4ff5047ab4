//! Configuration of the driver's client. Every request ends in time, and only this store retries.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Config, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Builder;
use session_core::Result;
#[cfg(feature = "environment")]
use session_core::{Error, ErrorKind};
use session_store_kit::wrong;

/// Maximum time to open a connection. Half of the call's time-out applies instead if that is shorter.
const CONNECTING: Duration = Duration::from_secs(3);

/// Maximum idle time of a connection. DynamoDB closes idle connections as well, and a request sent at that moment is lost.
const IDLE: Duration = Duration::from_secs(30);

/// Endpoint, region and credentials.
#[derive(Clone, Default)]
pub(crate) struct Address {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    /// Access key and secret.
    pub(crate) keys: Option<(String, String)>,
}

impl Address {
    /// Returns the driver's configuration for the address. What the address leaves open is read from the environment.
    pub(crate) async fn config(self, timeout: Duration) -> Result<Config> {
        let http = http_client(&self)?;
        let Self { endpoint, region, keys } = self;
        let config = match (region, keys) {
            (Some(region), Some((key, secret))) => Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region))
                .credentials_provider(Credentials::new(key, secret, None, None, "session-store-dynamo")),
            (region, keys) => from_environment(region, keys, &http, timeout).await?,
        };
        let mut config = config.http_client(http);
        config.set_endpoint_url(endpoint);
        Ok(config.stalled_stream_protection(StalledStreamProtectionConfig::disabled()).build())
    }
}

/// Clients for reads and for writes, which share their connections.
pub(crate) struct Clients {
    /// Client for reads. An attempt takes at most half of the time-out, which leaves time for a second on another connection.
    pub(crate) reads: Client,
    /// Client for writes. The only attempt may take almost all of the time-out. It ends before its future is dropped, because
    /// then the driver closes the connection as well.
    pub(crate) writes: Client,
}

impl Clients {
    /// Returns clients without the driver's own retries, because it would also repeat a write whose answer was lost.
    pub(crate) fn of(config: &Config, timeout: Duration) -> Self {
        let client = |attempt| {
            let times = TimeoutConfig::builder().connect_timeout(CONNECTING.min(timeout / 2));
            let times = times.operation_attempt_timeout(attempt).build();
            Client::from_conf(config.to_builder().timeout_config(times).retry_config(RetryConfig::disabled()).build())
        };
        Self { reads: client(timeout / 2), writes: client(timeout - timeout / 10) }
    }
}

pub(crate) fn http_client(address: &Address) -> Result<SharedHttpClient> {
    let builder = Builder::new().pool_idle_timeout(IDLE);
    let plain = address.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    // Without keys, the source of the credentials may need TLS.
    if plain && address.keys.is_some() {
        return Ok(builder.build_http());
    }
    #[cfg(feature = "tls")]
    {
        use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

        Ok(builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
    }
    #[cfg(not(feature = "tls"))]
    {
        if plain {
            return Ok(builder.build_http());
        }
        wrong("AWS needs TLS; compile session-store-dynamo with its feature `tls`")
    }
}

#[cfg(feature = "environment")]
async fn from_environment(
    region: Option<String>,
    keys: Option<(String, String)>,
    http: &SharedHttpClient,
    timeout: Duration,
) -> Result<aws_sdk_dynamodb::config::Builder> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some((key, secret)) = keys {
        loader = loader.credentials_provider(Credentials::new(key, secret, None, None, "session-store-dynamo"));
    }
    let slow = Error::fixed(
        ErrorKind::Unavailable,
        "region and credentials were not found in the environment within the time-out",
    );
    let found = tokio::time::timeout(timeout, loader.load()).await.map_err(|_| slow)?;
    if found.region().is_none() {
        return wrong("no region is configured; name it in the URL, as in dynamodb:///eu-central-1, or in AWS_REGION");
    }
    Ok(aws_sdk_dynamodb::config::Builder::from(&found))
}

#[cfg(not(feature = "environment"))]
async fn from_environment(
    _: Option<String>,
    _: Option<(String, String)>,
    _: &SharedHttpClient,
    _: Duration,
) -> Result<aws_sdk_dynamodb::config::Builder> {
    wrong(
        "region or keys are missing; give both, or compile session-store-dynamo with its feature `environment`, \
         which finds them",
    )
}
