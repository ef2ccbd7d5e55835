//! The suite of the port on Postgres, and what is Postgres' own.

mod ground;

use std::sync::Arc;

use self::ground::Ground;
use super::Postgres;
use crate::conformance::Stores;

async fn open() -> (Stores, Ground) {
    let ground = Ground::new();
    let first = Arc::new(Postgres::open(ground.settings()).await.unwrap());
    let second = Arc::new(Postgres::open(ground.settings()).await.unwrap());
    (Stores { first, second }, ground)
}

mod suite {
    crate::tables_conformance!(super::open);
}
