use anyhow::Result;
use redis::aio::MultiplexedConnection;
use redis::{Script, cmd};

use super::now;
use crate::cas::{Cas, Key, LIFE};

/// Replaces the value whose first eight bytes are the version that was loaded.
const SAVE: &str = "if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end \
                    redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3]) return 1";

pub(crate) struct Driver {
    connection: MultiplexedConnection,
    save: Script,
}

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(Self { connection, save: Script::new(SAVE) })
    }
}

fn name(key: &Key) -> Vec<u8> {
    [b"bare:", &key[..]].concat()
}

fn value(version: i64, data: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes(), data].concat()
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let mut set = cmd("SET");
        set.arg(name(key)).arg(value(version, &data)).arg("NX").arg("PXAT").arg(now() + LIFE);
        Ok(set.exec_async(&mut self.connection.clone()).await?)
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let value: Option<Vec<u8>> = cmd("GET").arg(name(key)).query_async(&mut self.connection.clone()).await?;
        let Some(mut value) = value else { return Ok(None) };
        let data = value.split_off(8);
        Ok(Some((i64::from_be_bytes(value[..].try_into()?), data)))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let mut call = self.save.key(name(key));
        call.arg(&expected.to_be_bytes()[..]).arg(value(version, &data)).arg(now() + LIFE);
        Ok(call.invoke_async(&mut self.connection.clone()).await?)
    }

    /// Uses the server's own command, which compares no version.
    async fn touch(&self, key: &Key, _: i64) -> Result<bool> {
        let mut expire = cmd("PEXPIREAT");
        expire.arg(name(key)).arg(now() + LIFE);
        Ok(expire.query_async(&mut self.connection.clone()).await?)
    }
}
