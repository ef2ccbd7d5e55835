//! The laws, on the embedded log alone and within the one that fails on command.

use std::sync::Arc;

use async_trait::async_trait;
use foldline_event_log::{
    Embedded, EventLog, Source,
    conformance::{Damage, Harness, LANES, Site},
    embedded::Settings,
    faulty::Faulty,
};
use foldline_kernel::Context;
use tempfile::TempDir;

use crate::raw::Raw;

struct InDirectory {
    wrapped: bool,
}

struct Directory {
    dir: TempDir,
    wrapped: bool,
}

impl Harness for InDirectory {
    fn site(&self) -> Box<dyn Site> {
        Box::new(Directory {
            dir: TempDir::new().unwrap(),
            wrapped: self.wrapped,
        })
    }
}

#[async_trait]
impl Site for Directory {
    async fn open(&self, contexts: &[Context]) -> Result<Arc<dyn EventLog>, Source> {
        let settings = Settings {
            name: "market".parse()?,
            lanes: LANES,
            contexts: contexts.to_vec(),
        };
        let log = Arc::new(Embedded::open(self.dir.path(), settings)?);
        Ok(if self.wrapped {
            Arc::new(Faulty::new(log).0)
        } else {
            log
        })
    }

    async fn damage(&self, damage: Damage) -> bool {
        let raw = Raw::open(self.dir.path());
        match damage {
            Damage::Flip(lane, at) => raw.flip(lane, at),
            Damage::Remove(lane, at) => raw.remove(lane, at),
            Damage::Append(lane, event) => raw.append(lane, *event),
        }
        true
    }
}

mod alone {
    use super::InDirectory;

    foldline_event_log::event_log_laws!(InDirectory { wrapped: false });
}

mod within_faulty {
    use super::InDirectory;

    foldline_event_log::event_log_laws!(InDirectory { wrapped: true });
}
