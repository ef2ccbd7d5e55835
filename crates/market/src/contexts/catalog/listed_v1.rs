//! `product.listed.v1`, which is still in old logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cents, Currency, ProductId};

/// A seller offers a product, as it was recorded before prices were in cents and products named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedV1 {
    /// The product.
    pub product_id: ProductId,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The price of one as a decimal text, such as `129.90`.
    pub price: String,
    /// The currency of the price; `BRL` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
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

/// Turns the `data` of a `product.listed.v1` into that of a `product.listed.v2`.
///
/// The text becomes cents exactly; what else the event says stays as it stands.
pub(super) fn upcast(mut data: Value) -> Result<Value, String> {
    let members = data.as_object_mut().ok_or("data is no object")?;
    let price = members.remove("price");
    let price = price
        .as_ref()
        .and_then(Value::as_str)
        .ok_or("`price` is no text")?;
    let cents = Cents::from_decimal(price).map_err(|error| error.to_string())?;
    members.insert("price_cents".into(), cents.get().into());
    members
        .entry("currency")
        .or_insert_with(|| Currency::BRL.as_str().into());
    Ok(data)
}
