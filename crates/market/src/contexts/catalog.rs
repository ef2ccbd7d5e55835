//! Products on offer, their prices and stock: the context `catalog`, whose streams belong to
//! sellers.
//!
//! ```text
//!   list-product ──▶ change-price, adjust-stock ──▶ delist-product ──▶ list-product …
//! ```
//!
//! The stream is the seller's, so a product here is that seller's offer of it. Listing a product
//! again starts it afresh, with a stock of 0.

use std::collections::BTreeMap;

use foldline::kernel::{Decider, Situation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cents, Currency, ProductId, Text};

mod listed_v1;

pub use listed_v1::ListedV1;

// Stored events: names and shapes are on disk for ever.

foldline::schema::stored_events! {
    /// What happens to a seller's products.
    #[derive(Clone, Debug, PartialEq)]
    pub enum CatalogEvent {
        "product.listed.v2" => Listed(Listed),
        "product.price-changed.v1" => PriceChanged(PriceChanged),
        "product.stock-adjusted.v1" => StockAdjusted(StockAdjusted),
        "product.delisted.v1" => Delisted(Delisted),
    }
    from "product.listed.v1"(ListedV1) => "product.listed.v2" by listed_v1::upcast;
}

/// A seller offers a product; its stock is 0 until it is adjusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// The product; several sellers may offer the same one.
    pub product_id: ProductId,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What kind of thing it is, such as `housewares`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The price of one.
    pub price_cents: i64,
    /// The currency of the price.
    pub currency: Currency,
    /// Its weight in grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<u32>,
    /// Its length in centimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_cm: Option<u32>,
    /// Its height in centimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_cm: Option<u32>,
    /// Its width in centimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width_cm: Option<u32>,
    /// How many photos show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photos: Option<u32>,
}

/// A seller asks another price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PriceChanged {
    /// The product.
    pub product_id: ProductId,
    /// The price of one from now on.
    pub price_cents: i64,
    /// The currency of the price.
    pub currency: Currency,
}

/// A seller has more or less of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockAdjusted {
    /// The product.
    pub product_id: ProductId,
    /// How many came (or, below 0, went).
    pub by: i64,
    /// How many there are now.
    pub stock: i64,
}

/// A seller no longer offers a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delisted {
    /// The product.
    pub product_id: ProductId,
}

// State.

/// Every product that the seller has ever offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CatalogState {
    products: BTreeMap<ProductId, Offer>,
}

/// How a product is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Offer {
    listed: bool,
    price_cents: i64,
    currency: Currency,
    stock: i64,
}

// Commands.

foldline::kernel::commands! {
    /// What a seller's catalog can be asked to do.
    #[derive(Clone, Debug)]
    pub enum CatalogCommand {
        "list-product" => ListProduct(ListProduct),
        "change-price" => ChangePrice(ChangePrice),
        "adjust-stock" => AdjustStock(AdjustStock),
        "delist-product" => DelistProduct(DelistProduct),
    }
}

/// Offers a product.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListProduct {
    /// The product.
    pub product_id: ProductId,
    /// What it is called.
    pub name: Option<Text<1, 300>>,
    /// What kind of thing it is.
    pub category: Option<Text<1, 100>>,
    /// The price of one; it may be 0.
    pub price_cents: Cents,
    /// The currency of the price; `BRL` where absent.
    #[serde(default)]
    pub currency: Currency,
    /// Its weight in grams.
    pub weight_g: Option<u32>,
    /// Its length in centimetres.
    pub length_cm: Option<u32>,
    /// Its height in centimetres.
    pub height_cm: Option<u32>,
    /// Its width in centimetres.
    pub width_cm: Option<u32>,
    /// How many photos show it.
    pub photos: Option<u32>,
}

/// Asks another price.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePrice {
    /// The product.
    pub product_id: ProductId,
    /// The price of one; it may be 0.
    pub price_cents: Cents,
    /// The currency of the price; the present one where absent.
    pub currency: Option<Currency>,
}

/// Counts what came or went.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdjustStock {
    /// The product.
    pub product_id: ProductId,
    /// How many came (or, below 0, went).
    pub by: i64,
}

/// Offers a product no longer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelistProduct {
    /// The product.
    pub product_id: ProductId,
}

// Rejections: the codes are what clients match on.

foldline::kernel::rejections! {
    /// Why the rules say no.
    #[derive(Clone, PartialEq)]
    pub enum CatalogRejection {
        Conflict "product-already-listed" => AlreadyListed { product_id: ProductId }
            "this user already offers product {product_id}",
        Conflict "unknown-product" => Unknown { product_id: ProductId }
            "this user has never offered product {product_id}",
        Conflict "product-not-listed" => NotListed { product_id: ProductId }
            "this user no longer offers product {product_id}",
        Conflict "stock-would-be-negative" => StockWouldBeNegative { product_id: ProductId, stock: i64 }
            "there are only {stock} of product {product_id}",
        Conflict "stock-too-large" => StockTooLarge { product_id: ProductId, stock: i64 }
            "no more than 63 bits count product {product_id}, of which there are {stock}",
    }
}

// Rules.

/// The context `catalog`.
#[derive(Debug)]
pub struct Catalog;

impl Decider for Catalog {
    const CONTEXT: &'static str = "catalog";
    const STATE_REVISION: u32 = 1;

    type State = CatalogState;
    type Command = CatalogCommand;
    type Event = CatalogEvent;
    type Rejection = CatalogRejection;

    fn decide(
        state: &CatalogState,
        command: CatalogCommand,
        _: &Situation<'_>,
    ) -> Result<Vec<CatalogEvent>, CatalogRejection> {
        let event = match command {
            CatalogCommand::ListProduct(list) => {
                let product_id = list.product_id;
                if listed(state, product_id).is_ok() {
                    return Err(CatalogRejection::AlreadyListed { product_id });
                }
                Some(Listed::from(list).into())
            }
            CatalogCommand::ChangePrice(change) => decide_price(state, change)?.map(Into::into),
            CatalogCommand::AdjustStock(adjust) => decide_stock(state, adjust)?.map(Into::into),
            CatalogCommand::DelistProduct(DelistProduct { product_id }) => {
                listed(state, product_id)?;
                Some(Delisted { product_id }.into())
            }
        };
        Ok(event.into_iter().collect())
    }

    /// Facts about a product that was never listed are passed over: `evolve` cannot fail.
    fn evolve(state: &mut CatalogState, event: &CatalogEvent) {
        let products = &mut state.products;
        match event {
            CatalogEvent::Listed(e) => {
                products.insert(e.product_id, Offer::from(e));
            }
            CatalogEvent::PriceChanged(e) => {
                products.entry(e.product_id).and_modify(|offer| {
                    (offer.price_cents, offer.currency) = (e.price_cents, e.currency);
                });
            }
            CatalogEvent::StockAdjusted(e) => {
                products
                    .entry(e.product_id)
                    .and_modify(|offer| offer.stock = e.stock);
            }
            CatalogEvent::Delisted(e) => {
                products
                    .entry(e.product_id)
                    .and_modify(|offer| offer.listed = false);
            }
        }
    }
}

/// `None` where that is the price already.
fn decide_price(
    state: &CatalogState,
    change: ChangePrice,
) -> Result<Option<PriceChanged>, CatalogRejection> {
    let offer = listed(state, change.product_id)?;
    let price_cents = change.price_cents.get();
    let currency = change.currency.unwrap_or(offer.currency);
    let changed = (price_cents, currency) != (offer.price_cents, offer.currency);
    Ok(changed.then_some(PriceChanged {
        product_id: change.product_id,
        price_cents,
        currency,
    }))
}

/// `None` where nothing came or went.
fn decide_stock(
    state: &CatalogState,
    AdjustStock { product_id, by }: AdjustStock,
) -> Result<Option<StockAdjusted>, CatalogRejection> {
    let stock = listed(state, product_id)?.stock;
    let adjusted = stock.checked_add(by);
    let adjusted = adjusted.ok_or(CatalogRejection::StockTooLarge { product_id, stock })?;
    if adjusted < 0 {
        return Err(CatalogRejection::StockWouldBeNegative { product_id, stock });
    }
    Ok((by != 0).then_some(StockAdjusted {
        product_id,
        by,
        stock: adjusted,
    }))
}

fn listed(state: &CatalogState, product_id: ProductId) -> Result<&Offer, CatalogRejection> {
    let offer = state.products.get(&product_id);
    let offer = offer.ok_or(CatalogRejection::Unknown { product_id })?;
    if !offer.listed {
        return Err(CatalogRejection::NotListed { product_id });
    }
    Ok(offer)
}

impl From<&Listed> for Offer {
    fn from(listed: &Listed) -> Self {
        Self {
            listed: true,
            price_cents: listed.price_cents,
            currency: listed.currency,
            stock: 0,
        }
    }
}

impl From<ListProduct> for Listed {
    fn from(list: ListProduct) -> Self {
        Self {
            product_id: list.product_id,
            name: list.name.map(Text::into_inner),
            category: list.category.map(Text::into_inner),
            price_cents: list.price_cents.get(),
            currency: list.currency,
            weight_g: list.weight_g,
            length_cm: list.length_cm,
            height_cm: list.height_cm,
            width_cm: list.width_cm,
            photos: list.photos,
        }
    }
}

#[cfg(test)]
mod tests;
