use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::{CONNECTIONS, now};
use crate::cas::{Cas, Key, LIFE};

pub(crate) struct Driver(PgPool);

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().min_connections(CONNECTIONS).max_connections(CONNECTIONS).connect(url).await?;
        let create = "create table if not exists bare (key bytea primary key, version bigint not null, \
                      expires_at bigint not null, data bytea not null)";
        sqlx::query(create).execute(&pool).await?;
        Ok(Self(pool))
    }
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let query = sqlx::query("insert into bare (key, version, expires_at, data) values ($1, $2, $3, $4)");
        query.bind(&key[..]).bind(version).bind(now() + LIFE).bind(data).execute(&self.0).await?;
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let query = sqlx::query_as("select version, data from bare where key = $1 and expires_at > $2");
        Ok(query.bind(&key[..]).bind(now()).fetch_optional(&self.0).await?)
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let query = sqlx::query(
            "update bare set version = $3, expires_at = $4, data = $5 where key = $1 and version = $2 and expires_at > $6",
        );
        let query = query.bind(&key[..]).bind(expected).bind(version).bind(now() + LIFE).bind(data).bind(now());
        Ok(query.execute(&self.0).await?.rows_affected() == 1)
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let query = sqlx::query(
            "update bare set expires_at = greatest(expires_at, $2) where key = $1 and version = $3 and expires_at > $4",
        );
        let touched = query.bind(&key[..]).bind(now() + LIFE).bind(expected).bind(now()).execute(&self.0).await?;
        Ok(touched.rows_affected() == 1)
    }
}
