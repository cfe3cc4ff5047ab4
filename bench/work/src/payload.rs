use serde::{Deserialize, Serialize};

/// Content of a session: a count, and filler up to the size of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    pub count: u64,
    pub filler: String,
}

impl Payload {
    /// Makes a payload of about `size` bytes when encoded.
    pub fn of_size(size: usize) -> Self {
        Self { count: 0, filler: "x".repeat(size.saturating_sub(32)) }
    }

    /// Returns the payload with its count increased by one.
    pub fn plus_one(mut self) -> Self {
        self.count += 1;
        self
    }

    /// Encodes the payload as JSON, as in this project's sessions.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.filler.len() + 64);
        serde_json::to_writer(&mut data, self).expect("a number and a text");
        data
    }

    /// Decodes a payload from JSON.
    pub fn decode(data: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(data)?)
    }
}
