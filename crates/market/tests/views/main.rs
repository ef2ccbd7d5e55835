//! Read models and queries of a running node, as its clients and its operator meet them: the real
//! binary, over HTTP and with its own tools. Nothing here knows how it is made, save where a test
//! changes a table behind its back.

mod behind_its_back;
mod broken_definitions;
mod generations;
mod node;
mod on_postgres;
mod own_writes;
mod paging;
mod parking;
mod place;
mod shop;
mod tools;
mod verifying;
