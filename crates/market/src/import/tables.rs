//! The whole data set in memory, checked: every row finds the rows it speaks of.

use std::collections::HashMap;
use std::path::Path;

use uuid::Uuid;

use super::files::{DataError, each_row};
use super::rows::{Category, Customer, Item, Order, Payment, Product, Review, Seller};

/// The data set, by the ids that its rows use for each other.
///
/// Rows of one order stay in the order of their file.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// By time of purchase.
    pub(super) orders: Vec<Order>,
    pub(super) customers: HashMap<Uuid, Customer>,
    pub(super) sellers: HashMap<Uuid, Seller>,
    pub(super) products: HashMap<Uuid, Product>,
    /// The English name of a category, by the original one.
    pub(super) categories: HashMap<String, String>,
    pub(super) items: HashMap<Uuid, Vec<Item>>,
    pub(super) payments: HashMap<Uuid, Vec<Payment>>,
    pub(super) reviews: HashMap<Uuid, Vec<Review>>,
}

impl Tables {
    /// Reads the files of the data set in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self, DataError> {
        let mut tables = Self::default();
        tables.read_parties(dir)?;
        tables.read_orders(dir)?;
        tables.read_details(dir)?;
        Ok(tables)
    }

    fn read_parties(&mut self, dir: &Path) -> Result<(), DataError> {
        each_row(dir, "olist_customers_dataset", |row: Customer| {
            once(&mut self.customers, row.customer_id, row, "customer")
        })?;
        each_row(dir, "olist_sellers_dataset", |row: Seller| {
            once(&mut self.sellers, row.seller_id, row, "seller")
        })?;
        each_row(dir, "olist_products_dataset", |row: Product| {
            once(&mut self.products, row.product_id, row, "product")
        })?;
        each_row(dir, "product_category_name_translation", |row: Category| {
            self.categories
                .insert(row.product_category_name, row.product_category_name_english);
            Ok(())
        })
    }

    fn read_orders(&mut self, dir: &Path) -> Result<(), DataError> {
        let (orders, customers) = (&mut self.orders, &self.customers);
        let mut seen = HashMap::new();
        each_row(dir, "olist_orders_dataset", |row: Order| {
            known(customers, row.customer_id, "customer")?;
            once(&mut seen, row.order_id, (), "order")?;
            orders.push(row);
            Ok(())
        })?;
        // Stable, so that orders of the same second stay in the order of the file.
        orders.sort_by_key(|order| order.order_purchase_timestamp);
        for order in seen.into_keys() {
            self.items.insert(order, Vec::new());
            self.payments.insert(order, Vec::new());
            self.reviews.insert(order, Vec::new());
        }
        Ok(())
    }

    fn read_details(&mut self, dir: &Path) -> Result<(), DataError> {
        let (sellers, products) = (&self.sellers, &self.products);
        each_row(dir, "olist_order_items_dataset", |row: Item| {
            known(sellers, row.seller_id, "seller")?;
            known(products, row.product_id, "product")?;
            attach(&mut self.items, row.order_id, row)
        })?;
        each_row(dir, "olist_order_payments_dataset", |row: Payment| {
            attach(&mut self.payments, row.order_id, row)
        })?;
        each_row(dir, "olist_order_reviews_dataset", |row: Review| {
            if !(1..=5).contains(&row.review_score.0) {
                return Err(format!(
                    "review_score: {} is not 1 to 5",
                    row.review_score.0
                ));
            }
            attach(&mut self.reviews, row.order_id, row)
        })
    }
}

fn once<T>(rows: &mut HashMap<Uuid, T>, id: Uuid, row: T, what: &str) -> Result<(), String> {
    match rows.insert(id, row) {
        None => Ok(()),
        Some(_) => Err(format!("{what} {} is there twice", id.simple())),
    }
}

fn known<T>(rows: &HashMap<Uuid, T>, id: Uuid, what: &str) -> Result<(), String> {
    match rows.contains_key(&id) {
        true => Ok(()),
        false => Err(format!("{what} {} is not among the {what}s", id.simple())),
    }
}

fn attach<T>(rows: &mut HashMap<Uuid, Vec<T>>, order: Uuid, row: T) -> Result<(), String> {
    match rows.get_mut(&order) {
        Some(rows) => {
            rows.push(row);
            Ok(())
        }
        None => Err(format!("order {} is not among the orders", order.simple())),
    }
}
