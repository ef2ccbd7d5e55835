//! What the marketplace's read models say of what happened: given events, then rows. The files in
//! `projections/`, the types and upcasts are the real ones; no node, no log and no table is there.

mod definitions;
mod facts;
mod order;
mod order_timeline;
mod orders_by_user;
mod payment_mix;
mod product_sales;
mod products;
mod seller_ratings;
mod seller_sales;
mod users;

use std::path::Path;

use foldline::{
    read_model::{
        Model, load_dir,
        spec::{Given, Happened, spec},
    },
    schema::Catalog,
};

/// A read model of `projections/`, with the types it reads.
struct View {
    model: Model,
    catalog: Catalog,
}

impl View {
    fn named(name: &str) -> Self {
        let mut models = models().into_iter();
        let model = models.find(|model| model.name.as_ref() == name);
        Self {
            model: model.unwrap_or_else(|| panic!("projections/ has no {name}")),
            catalog: market::catalog(),
        }
    }

    /// Folds what happened, in this order.
    #[track_caller]
    fn given(&self, events: impl IntoIterator<Item = Happened>) -> Given<'_> {
        spec(&self.model, &self.catalog).given(events)
    }
}

fn models() -> Vec<Model> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
    load_dir(&directory, &market::catalog()).unwrap_or_else(|errors| panic!("{errors}"))
}
