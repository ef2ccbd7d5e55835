//! What the marketplace must make of the data set: every command of an import in its order, and
//! whether the rules accept it. Read from MARKET.md alone, in plain code.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::dataset::{
    CUSTOMERS, ITEMS, ORDERS, Olist, PAYMENTS, PRODUCTS, REVIEWS, Record, SELLERS, TRANSLATION,
};
use crate::rules::Rules;

/// All that an import says and what came of it.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) sent: u64,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    /// The events of the accepted commands, in the order of the commands.
    pub(crate) facts: Vec<Fact>,
    /// Orders that were never placed.
    pub(crate) refused_orders: Vec<String>,
}

/// One event: its stored type, its time, and what read models take from it.
pub(crate) struct Fact {
    pub(crate) event: &'static str,
    /// As read models show times: `2018-01-01T00:00:00.000000Z`.
    pub(crate) time: String,
    pub(crate) said: Said,
}

/// What an event says. Ids are hyphenated.
pub(crate) enum Said {
    Registered {
        person: String,
        city: String,
        state: String,
    },
    Listed {
        seller: String,
        product: String,
        category: Option<String>,
        price: i64,
        weight: Option<i64>,
    },
    Placed {
        buyer: String,
        order: String,
        lines: Vec<Line>,
    },
    Stepped {
        order: String,
    },
    Captured {
        buyer: String,
        order: String,
        method: String,
        cents: i64,
    },
    Reviewed {
        order: String,
        score: i64,
        sellers: Vec<String>,
    },
}

/// One item of an order.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) product: String,
    pub(crate) seller: String,
    pub(crate) price: i64,
    pub(crate) freight: i64,
}

impl History {
    /// The history that an import of these files makes.
    pub(crate) fn of(olist: &Olist) -> Self {
        let files = Files::read(olist);
        let mut orders = olist.records(ORDERS);
        orders.sort_by(|a, b| a["order_purchase_timestamp"].cmp(&b["order_purchase_timestamp"]));
        let mut teller = Teller {
            files: &files,
            rules: Rules::default(),
            history: Self::default(),
        };
        for order in &orders {
            teller.order(order);
        }
        teller.history
    }

    /// The number of events of each type.
    pub(crate) fn events(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for fact in &self.facts {
            *counts.entry(fact.event).or_default() += 1;
        }
        counts
    }
}

/// The files by the ids that lead into them.
struct Files {
    customers: HashMap<String, Record>,
    sellers: HashMap<String, Record>,
    products: HashMap<String, Record>,
    english: HashMap<String, String>,
    items: HashMap<String, Vec<Record>>,
    payments: HashMap<String, Vec<Record>>,
    reviews: HashMap<String, Vec<Record>>,
}

impl Files {
    fn read(olist: &Olist) -> Self {
        let english = |row: Record| {
            (
                row["product_category_name"].clone(),
                row["product_category_name_english"].clone(),
            )
        };
        Self {
            customers: one_by(olist.records(CUSTOMERS), "customer_id"),
            sellers: one_by(olist.records(SELLERS), "seller_id"),
            products: one_by(olist.records(PRODUCTS), "product_id"),
            english: olist
                .records(TRANSLATION)
                .into_iter()
                .map(english)
                .collect(),
            items: many_by(olist.records(ITEMS), "order_id"),
            payments: many_by(olist.records(PAYMENTS), "order_id"),
            reviews: many_by(olist.records(REVIEWS), "order_id"),
        }
    }
}

/// Goes through the orders and writes down what each command comes to.
struct Teller<'a> {
    files: &'a Files,
    rules: Rules,
    history: History,
}

impl Teller<'_> {
    fn order(&mut self, row: &Record) {
        let files = self.files;
        let (raw, purchase) = (&row["order_id"], &row["order_purchase_timestamp"]);
        let items = files.items.get(raw).map_or(&[][..], Vec::as_slice);
        let customer = &files.customers[&row["customer_id"]];
        let (order, buyer) = (id(raw), id(&customer["customer_unique_id"]));

        self.register(&buyer, "customer", customer, purchase);
        for item in items {
            let seller = &files.sellers[&item["seller_id"]];
            self.register(&id(&item["seller_id"]), "seller", seller, purchase);
        }
        for item in items {
            self.list(item, purchase);
        }
        let lines: Vec<Line> = items.iter().map(line).collect();
        self.place(&order, &buyer, &lines, purchase);
        self.capture(row, &order, &buyer);
        self.steps(row, &order);
        self.write(raw, &order, &lines);
    }

    /// Counts a command and keeps its event if it was accepted.
    fn tell(
        &mut self,
        decided: Result<(), &'static str>,
        event: &'static str,
        at: &str,
        said: Said,
    ) {
        self.history.sent += 1;
        match decided {
            Ok(()) => self.history.facts.push(Fact {
                event,
                time: time(at),
                said,
            }),
            Err(code) => *self.history.refused.entry(code).or_default() += 1,
        }
    }

    fn register(&mut self, person: &str, prefix: &str, row: &Record, at: &str) {
        if !self.rules.registered.insert(person.to_owned()) {
            return;
        }
        let of = |column: &str| row[&format!("{prefix}_{column}")].clone();
        let said = Said::Registered {
            person: person.into(),
            city: of("city"),
            state: of("state"),
        };
        self.tell(Ok(()), "account.registered.v1", at, said);
    }

    fn list(&mut self, item: &Record, at: &str) {
        let (seller, product) = (id(&item["seller_id"]), id(&item["product_id"]));
        if !self.rules.listed.insert((seller.clone(), product.clone())) {
            return;
        }
        let row = &self.files.products[&item["product_id"]];
        let own = &row["product_category_name"];
        let category = self.files.english.get(own).unwrap_or(own).clone();
        let said = Said::Listed {
            seller,
            product,
            category: Some(category).filter(|name| !name.is_empty()),
            price: cents(&item["price"]),
            weight: row["product_weight_g"].parse().ok(),
        };
        self.tell(Ok(()), "product.listed.v2", at, said);
    }

    fn place(&mut self, order: &str, buyer: &str, lines: &[Line], at: &str) {
        let decided = self.rules.place(order, lines);
        if decided.is_err() {
            self.history.refused_orders.push(order.into());
        }
        let said = Said::Placed {
            buyer: buyer.into(),
            order: order.into(),
            lines: lines.to_vec(),
        };
        self.tell(decided, "order.placed.v1", at, said);
    }

    fn capture(&mut self, row: &Record, order: &str, buyer: &str) {
        let purchase = &row["order_purchase_timestamp"];
        let at = Some(&row["order_approved_at"])
            .filter(|at| !at.is_empty())
            .unwrap_or(purchase);
        for payment in self
            .files
            .payments
            .get(&row["order_id"])
            .into_iter()
            .flatten()
        {
            let decided = self
                .rules
                .capture(order, payment["payment_sequential"].clone() + order);
            let said = Said::Captured {
                buyer: buyer.into(),
                order: order.into(),
                method: payment["payment_type"].clone(),
                cents: cents(&payment["payment_value"]),
            };
            self.tell(decided, "payment.captured.v1", at, said);
        }
    }

    fn steps(&mut self, row: &Record, order: &str) {
        let dated = [
            ("approve", "order.approved.v1", &row["order_approved_at"]),
            (
                "ship",
                "order.shipped.v1",
                &row["order_delivered_carrier_date"],
            ),
            (
                "deliver",
                "order.delivered.v1",
                &row["order_delivered_customer_date"],
            ),
        ];
        for (step, event, at) in dated.into_iter().filter(|(_, _, at)| !at.is_empty()) {
            self.step(step, event, at, order);
        }
        // Written so, the later time is the greater text, and a missing one the least.
        let latest = dated
            .map(|(_, _, at)| at)
            .into_iter()
            .max()
            .expect("three dates");
        let latest = latest.max(&row["order_purchase_timestamp"]);
        match row["order_status"].as_str() {
            "canceled" => self.step("cancel", "order.cancelled.v1", latest, order),
            "unavailable" => {
                self.step(
                    "mark-unavailable",
                    "order.marked-unavailable.v1",
                    latest,
                    order,
                );
            }
            _ => {}
        }
    }

    fn step(&mut self, step: &'static str, event: &'static str, at: &str, order: &str) {
        let decided = self.rules.step(order, step);
        self.tell(
            decided,
            event,
            at,
            Said::Stepped {
                order: order.into(),
            },
        );
    }

    fn write(&mut self, raw: &str, order: &str, lines: &[Line]) {
        let mut sellers: Vec<String> = lines.iter().map(|line| line.seller.clone()).collect();
        sellers.sort();
        sellers.dedup();
        for review in self.files.reviews.get(raw).into_iter().flatten() {
            let decided = self.rules.write(order, review["review_id"].clone());
            let said = Said::Reviewed {
                order: order.into(),
                score: review["review_score"].parse().expect("a score"),
                sellers: sellers.clone(),
            };
            self.tell(
                decided,
                "review.written.v1",
                &review["review_answer_timestamp"],
                said,
            );
        }
    }
}

fn line(item: &Record) -> Line {
    Line {
        product: id(&item["product_id"]),
        seller: id(&item["seller_id"]),
        price: cents(&item["price"]),
        freight: cents(&item["freight_value"]),
    }
}

fn one_by(rows: Vec<Record>, column: &str) -> HashMap<String, Record> {
    rows.into_iter()
        .map(|row| (row[column].clone(), row))
        .collect()
}

fn many_by(rows: Vec<Record>, column: &str) -> HashMap<String, Vec<Record>> {
    let mut by: HashMap<String, Vec<Record>> = HashMap::new();
    for row in rows {
        by.entry(row[column].clone()).or_default().push(row);
    }
    by
}

/// 32 hex digits as a hyphenated id.
fn id(hex: &str) -> String {
    Uuid::parse_str(hex).expect("32 hex digits").to_string()
}

/// `2018-01-31 23:59:59`, which is UTC, as read models show it.
fn time(text: &str) -> String {
    format!("{}.000000Z", text.replace(' ', "T"))
}

/// A decimal price in cents, exactly.
fn cents(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    assert!(part.len() <= 2, "{text} has parts of cents");
    format!("{whole}{part:0<2}").parse().expect("a price")
}
