//! What is asked, and what is answered.

use foldline_kernel::{Caller, Position};
use foldline_tables::GenerationNumber;

use crate::HeldBack;

/// One question to a read model.
#[derive(Clone, Debug)]
pub struct Request {
    /// The read model's name.
    pub model: String,
    /// The query's name.
    pub query: String,
    /// The parameters as they were given, decoded, in any order.
    pub parameters: Vec<(String, String)>,
    /// Who asks.
    pub caller: Caller,
    /// What the answer must have absorbed; contexts that do not feed the model are ignored.
    pub at_least: Vec<Position>,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The JSON text `{"rows":[…],"next":"…"}`, with `"parked":{…}` where users are held back
    /// whom the answer may be about.
    pub body: Vec<u8>,
    /// How many rows it has.
    pub rows: usize,
    /// Where to continue; `None` where there are no more rows.
    pub next: Option<String>,
    /// What had been absorbed when the rows were read: one position per context and lane that has
    /// any, and only those of the user's lane where the answer is about one user.
    pub positions: Vec<Position>,
    /// The generation that was read.
    pub generation: GenerationNumber,
    /// The users held back whom the answer may be about.
    pub held_back: Option<HeldBack>,
    /// A tag of exactly this answer, with the generation in it: visible ASCII without quotes.
    pub etag: String,
}
