//! The rows of the CSV files, with the columns that are used and their original names.

use serde::Deserialize;
use uuid::Uuid;

use super::field::{Cents, Time, Whole};

#[derive(Debug, Deserialize)]
pub(super) struct Customer {
    pub(super) customer_id: Uuid,
    /// The person; `customer_id` is new for every order.
    pub(super) customer_unique_id: Uuid,
    /// Text: prefixes begin with zeros.
    pub(super) customer_zip_code_prefix: Option<String>,
    pub(super) customer_city: Option<String>,
    pub(super) customer_state: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Seller {
    pub(super) seller_id: Uuid,
    pub(super) seller_zip_code_prefix: Option<String>,
    pub(super) seller_city: Option<String>,
    pub(super) seller_state: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Product {
    pub(super) product_id: Uuid,
    pub(super) product_category_name: Option<String>,
    pub(super) product_photos_qty: Option<Whole>,
    pub(super) product_weight_g: Option<Whole>,
    pub(super) product_length_cm: Option<Whole>,
    pub(super) product_height_cm: Option<Whole>,
    pub(super) product_width_cm: Option<Whole>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub(super) product_category_name: String,
    pub(super) product_category_name_english: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) order_id: Uuid,
    pub(super) customer_id: Uuid,
    pub(super) order_status: String,
    pub(super) order_purchase_timestamp: Time,
    pub(super) order_approved_at: Option<Time>,
    pub(super) order_delivered_carrier_date: Option<Time>,
    pub(super) order_delivered_customer_date: Option<Time>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) order_id: Uuid,
    pub(super) product_id: Uuid,
    pub(super) seller_id: Uuid,
    pub(super) price: Cents,
    pub(super) freight_value: Cents,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payment {
    pub(super) order_id: Uuid,
    pub(super) payment_sequential: Whole,
    pub(super) payment_type: String,
    pub(super) payment_installments: Whole,
    pub(super) payment_value: Cents,
}

#[derive(Debug, Deserialize)]
pub(super) struct Review {
    pub(super) review_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) review_score: Whole,
    pub(super) review_comment_title: Option<String>,
    pub(super) review_comment_message: Option<String>,
    pub(super) review_answer_timestamp: Time,
}
