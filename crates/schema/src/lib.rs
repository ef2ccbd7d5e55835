//! What an event looks like on disk: the envelope and its codec, the stored types with their
//! JSON Schemas, and the upcasts of old shapes.
//!
//! The envelope is a CloudEvents 1.0 JSON object in structured mode, self-contained, so that a
//! file, a topic and a stream all carry the same bytes. This crate knows no log and no store: it
//! is given the places ([`Stamp`]) and gives bytes, or the reverse.
//!
//! Start reading at [`Event`], then [`Catalog`], the list of every type a binary knows.

mod catalog;
mod decode;
mod encode;
mod event;
mod stored;

pub use catalog::{Catalog, CurrentData, StoredType, UnknownType, Upcast};
pub use decode::{DecodeError, decode};
pub use encode::{NewEvent, Stamp, encode};
pub use event::{CommandHash, CommandPart, DataError, Event, command_hash};
pub use stored::{StoredEvents, TypeDescription};

/// Used by the macros of this crate; not for direct use.
#[doc(hidden)]
pub mod private {
    pub use schemars;
    pub use serde_json;
}
