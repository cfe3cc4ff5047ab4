use serde::{Deserialize, Serialize};

/// What a session holds: a count and as many bytes as the run asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    pub count: u64,
    pub filler: String,
}

impl Payload {
    /// A payload of about `size` bytes when encoded.
    pub fn of_size(size: usize) -> Self {
        Self { count: 0, filler: "x".repeat(size.saturating_sub(32)) }
    }

    /// The same with one more.
    pub fn plus_one(mut self) -> Self {
        self.count += 1;
        self
    }

    /// As JSON, which is what this project's sessions are stored as.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(self.filler.len() + 64);
        serde_json::to_writer(&mut data, self).expect("a number and a text");
        data
    }

    /// From JSON.
    pub fn decode(data: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(data)?)
    }
}
