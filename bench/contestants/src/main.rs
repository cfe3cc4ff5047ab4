//! Contestant with this project's stores and, for each, the bare driver doing the least that keeps the promise.

mod cas;
mod drivers;
mod http;
mod session;
mod store;

use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;
use axum::Router;
use work::{Contestant, Subject};

use cas::Filled;

struct OursAndDrivers;

#[async_trait]
impl Contestant for OursAndDrivers {
    async fn open(&self, name: &str, url: &str, size: usize) -> Result<Arc<dyn Subject>> {
        use drivers::{dynamo, memcached, mongo, mysql, nats, postgres, redb, redis, sqlite};
        Ok(match name.split_once('/') {
            Some(("ours", _)) => Arc::new(session::OurSessions::open(url, size).await?),
            Some(("driver", "sqlite" | "sqlite-full")) => {
                Arc::new(Filled::new(sqlite::Driver::open(url)?, size).await?)
            }
            Some(("driver", "redb")) => Arc::new(Filled::new(redb::Driver::open(url)?, size).await?),
            Some(("driver", "memcached")) => Arc::new(Filled::new(memcached::Driver::open(url).await?, size).await?),
            Some(("driver", "postgres")) => Arc::new(Filled::new(postgres::Driver::open(url).await?, size).await?),
            Some(("driver", "mysql" | "mariadb")) => {
                Arc::new(Filled::new(mysql::Driver::open(url).await?, size).await?)
            }
            Some(("driver", "redis" | "valkey")) => Arc::new(Filled::new(redis::Driver::open(url).await?, size).await?),
            Some(("driver", "dynamo")) => Arc::new(Filled::new(dynamo::Driver::open(url).await?, size).await?),
            Some(("driver", "mongo")) => Arc::new(Filled::new(mongo::Driver::open(url).await?, size).await?),
            Some(("driver", "nats")) => Arc::new(Filled::new(nats::Driver::open(url).await?, size).await?),
            _ => bail!("there is no subject {name}"),
        })
    }

    async fn application(&self, name: &str, url: &str) -> Result<Router> {
        match name.split_once('/') {
            Some(("ours", _)) => http::application(url).await,
            Some(("bare", _)) => Ok(http::bare()),
            _ => bail!("{name} is not served"),
        }
    }
}

fn main() -> Result<()> {
    work::contest(&OursAndDrivers)
}
