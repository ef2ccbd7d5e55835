//! Read models from their files to their rows: what is refused and why, what the marketplace's
//! projections say, and the laws that let any batching give the same rows.

mod catalog;
mod laws;
mod projections;
mod refusals;
mod revisions;
