//! What is on disk for ever: the shapes of the stored events, as goldens.
//!
//! `cargo xtask goldens` runs these tests with `FOLDLINE_GOLDENS=write`, which writes the files
//! anew; what then differs in version control is what a change has done to the stored shapes.

mod events;
mod examples;
mod golden;
mod schemas;
mod upcast;
