//! What there is of each read model, for those who look after them.

use std::sync::Arc;

use foldline_read_model::Model;
use foldline_tables::{Absorbed, Generation, TableError};

use crate::{QueryError, serving::View};

/// One read model with its generations.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The read model, as its file says now.
    pub model: Arc<Model>,
    /// Its generations, oldest first.
    pub generations: Vec<GenerationOverview>,
}

/// One generation and how far it has come.
#[derive(Clone, Debug)]
pub struct GenerationOverview {
    /// The generation, as the registry knows it.
    pub generation: Generation,
    /// Its checkpoints and parked users.
    pub absorbed: Absorbed,
    /// How many rows show.
    pub rows: u64,
}

/// Looks at every generation of a read model.
pub(crate) async fn of(view: &View) -> Result<Overview, QueryError> {
    let mut generations = Vec::new();
    for (generation, open) in view.all().await? {
        let looked = async {
            let absorbed = open.reader.absorbed().await?;
            let rows = open.reader.count().await?;
            Ok(GenerationOverview {
                generation,
                absorbed,
                rows,
            })
        };
        match looked.await {
            Ok(overview) => generations.push(overview),
            // Retired while it was looked at.
            Err(TableError::NoGeneration { .. }) => {}
            Err(error) => return Err(view.trouble(error)),
        }
    }
    Ok(Overview {
        model: view.model(),
        generations,
    })
}
