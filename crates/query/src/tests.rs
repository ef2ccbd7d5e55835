//! The query side over real tables.

mod access;
mod generations;
mod kit;
mod pages;
mod parameters;
mod positions;
