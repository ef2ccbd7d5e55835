//! A made-up data set of the shape of the real one, with every oddity that the real one has:
//! orders without items, cancelled and unavailable ones, people with several customer ids,
//! products of several sellers, several payments and reviews per order, reviews of several
//! orders, messages of several lines, missing dates, categories without translation.

use crate::dataset::{
    CUSTOMERS, ITEMS, ORDERS, PAYMENTS, PRODUCTS, REVIEWS, SELLERS, Sheet, TRANSLATION,
};
use crate::dice::Dice;

const ORDERS_MADE: u64 = 400;
const HOUR: u64 = 3_600;
const PLACES: [(&str, &str, &str); 5] = [
    ("01310", "sao paulo", "SP"),
    ("20251", "rio de janeiro", "RJ"),
    ("35550", "itapecerica", "MG"),
    ("57036", "maceio", "AL"),
    ("39664", "mendonca", "MG"),
];
const CATEGORIES: [(&str, &str); 4] = [
    ("moveis_decoracao", "furniture_decor"),
    ("cama_mesa_banho", "bed_bath_table"),
    ("consoles_games", "consoles_games"),
    ("pc_gamer", ""),
];
const METHODS: [&str; 4] = ["credit_card", "boleto", "voucher", "debit_card"];
const MESSAGES: [&str; 4] = [
    "",
    "Chegou no prazo",
    "Primeira linha\nsegunda, com \"aspas\"\r\n\r\nfim",
    "não recebi; nada",
];

/// All eight files.
pub(crate) fn sheets(dice: &mut Dice) -> Vec<(&'static str, Sheet)> {
    let mut made = Made::new(dice);
    for number in 0..ORDERS_MADE {
        made.order(dice, number);
    }
    // As in the real file, reviews lie in the order of their answers.
    made.reviews.lines.sort_by(|a, b| a[6].cmp(&b[6]));
    // Nobody promised that the orders lie sorted.
    made.orders.lines.reverse();
    vec![
        (CUSTOMERS, made.customers),
        (ITEMS, made.items),
        (PAYMENTS, made.payments),
        (REVIEWS, made.reviews),
        (ORDERS, made.orders),
        (PRODUCTS, made.products),
        (SELLERS, made.sellers),
        (TRANSLATION, translation()),
    ]
}

struct Made {
    customers: Sheet,
    items: Sheet,
    payments: Sheet,
    reviews: Sheet,
    orders: Sheet,
    products: Sheet,
    sellers: Sheet,
    people: Vec<String>,
    /// Product, seller and what the product costs there.
    offers: Vec<(String, String, u64)>,
    last_review: String,
}

/// What became of an order, and when.
struct Course {
    status: &'static str,
    with_items: bool,
    approved: Option<u64>,
    carrier: Option<u64>,
    customer: Option<u64>,
}

impl Made {
    fn new(dice: &mut Dice) -> Self {
        let mut made = Self {
            customers: Sheet::new(
                "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state",
            ),
            items: Sheet::new(
                "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value",
            ),
            payments: Sheet::new(
                "order_id,payment_sequential,payment_type,payment_installments,payment_value",
            ),
            reviews: Sheet::new(
                "review_id,order_id,review_score,review_comment_title,review_comment_message,review_creation_date,review_answer_timestamp",
            ),
            orders: Sheet::new(
                "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date",
            ),
            products: Sheet::new(
                "product_id,product_category_name,product_name_lenght,product_description_lenght,product_photos_qty,product_weight_g,product_length_cm,product_height_cm,product_width_cm",
            ),
            sellers: Sheet::new("seller_id,seller_zip_code_prefix,seller_city,seller_state"),
            people: Vec::new(),
            offers: Vec::new(),
            last_review: dice.hex_id(),
        };
        made.offers(dice);
        made
    }

    fn offers(&mut self, dice: &mut Dice) {
        let sellers: Vec<String> = (0..30).map(|_| dice.hex_id()).collect();
        for product in (0..80).map(|_| dice.hex_id()).collect::<Vec<_>>() {
            let known = !dice.chance(10);
            let category = if known { dice.pick(&CATEGORIES).0 } else { "" };
            let measure = |of: u64| if known { of.to_string() } else { String::new() };
            self.products.lines.push(vec![
                product.clone(),
                category.into(),
                measure(40 + dice.below(20)),
                measure(200),
                measure(1 + dice.below(5)),
                measure(50 * (1 + dice.below(40))),
                measure(20),
                measure(10 + dice.below(9)),
                measure(15),
            ]);
            let first = dice.below(30);
            for next in 0..=dice.below(3) {
                let seller = sellers[((first + next) % 30) as usize].clone();
                self.offers
                    .push((product.clone(), seller, 990 + dice.below(40_000)));
            }
        }
        for seller in sellers {
            let (zip, city, state) = *dice.pick(&PLACES);
            self.sellers
                .lines
                .push(vec![seller, zip.into(), city.into(), state.into()]);
        }
    }

    fn order(&mut self, dice: &mut Dice, number: u64) {
        let bought = number * 11 * HOUR + dice.below(9 * HOUR);
        let course = course(dice, number, bought);
        let (order, customer) = (dice.hex_id(), self.customer(dice));
        let total = if course.with_items {
            self.items(dice, &order, bought, number)
        } else {
            4_200
        };
        self.payments(dice, &order, total, number);
        self.reviews(dice, &order, bought);
        self.orders.lines.push(vec![
            order,
            customer,
            course.status.into(),
            date(bought),
            course.approved.map(date).unwrap_or_default(),
            course.carrier.map(date).unwrap_or_default(),
            course.customer.map(date).unwrap_or_default(),
            date(bought + 500 * HOUR),
        ]);
    }

    fn customer(&mut self, dice: &mut Dice) -> String {
        let again = !self.people.is_empty() && dice.chance(20);
        let person = if again {
            dice.pick(&self.people).clone()
        } else {
            dice.hex_id()
        };
        self.people.push(person.clone());
        let customer = dice.hex_id();
        let (zip, city, state) = *dice.pick(&PLACES);
        let line = vec![
            customer.clone(),
            person,
            zip.into(),
            city.into(),
            state.into(),
        ];
        self.customers.lines.push(line);
        customer
    }

    fn items(&mut self, dice: &mut Dice, order: &str, bought: u64, number: u64) -> u64 {
        let (mut total, mut item) = (0, 0);
        for _ in 0..=dice.below(3) {
            let (product, seller, price) = dice.pick(&self.offers).clone();
            // Prices drift from order to order; a listed one stays.
            let price = price + number;
            for _ in 0..=dice.below(10) / 7 {
                item += 1;
                let freight = 500 + dice.below(2_000);
                total += price + freight;
                self.items.lines.push(vec![
                    order.into(),
                    item.to_string(),
                    product.clone(),
                    seller.clone(),
                    date(bought + 100 * HOUR),
                    decimal(price),
                    decimal(freight),
                ]);
            }
        }
        total
    }

    fn payments(&mut self, dice: &mut Dice, order: &str, total: u64, number: u64) {
        if number == 77 {
            return;
        }
        let parts = 1 + dice.below(8) / 6 + dice.below(8) / 7;
        for part in 0..parts {
            // Some sequences have gaps, and a voucher may be used up.
            let sequential = if number % 50 == 9 {
                part * 2 + 2
            } else {
                part + 1
            };
            let amount = if number % 90 == 11 { 0 } else { total / parts };
            self.payments.lines.push(vec![
                order.into(),
                sequential.to_string(),
                (*dice.pick(&METHODS)).into(),
                (1 + dice.below(10)).to_string(),
                decimal(amount),
            ]);
        }
    }

    fn reviews(&mut self, dice: &mut Dice, order: &str, bought: u64) {
        let mut answered = bought + 300 * HOUR;
        for _ in 0..dice.below(10).div_ceil(4) {
            answered += 1 + dice.below(90 * HOUR);
            // Now and then one review is about several orders.
            if !dice.chance(8) || self.reviews.lines.iter().any(|line| line[1] == order) {
                self.last_review = dice.hex_id();
            }
            self.reviews.lines.push(vec![
                self.last_review.clone(),
                order.into(),
                (1 + dice.below(5)).to_string(),
                if dice.chance(20) {
                    "Título, curto".into()
                } else {
                    String::new()
                },
                (*dice.pick(&MESSAGES)).into(),
                date(answered / (24 * HOUR) * 24 * HOUR),
                date(answered),
            ]);
        }
    }
}

fn course(dice: &mut Dice, number: u64, bought: u64) -> Course {
    let mut after = |hours: u64| Some(bought + 60 + dice.below(hours * HOUR));
    let (approved, carrier, customer) = (after(2), after(90), after(400));
    let (status, with_items, steps) = match number % 40 {
        7 => ("canceled", false, 0b000),
        8 => ("canceled", false, 0b001),
        13 => ("canceled", true, 0b001),
        14 => ("canceled", true, 0b011),
        19 => ("unavailable", false, 0b001),
        23 => ("unavailable", true, 0b001),
        // The rules refuse to cancel what was delivered.
        29 => ("canceled", true, 0b111),
        31 => ("shipped", true, 0b011),
        33 => ("delivered", true, 0b101),
        35 => ("processing", true, 0b001),
        37 => ("delivered", true, 0b110),
        _ => ("delivered", true, 0b111),
    };
    let kept = |bit: u8, time: Option<u64>| time.filter(|_| steps & bit != 0);
    Course {
        status,
        with_items,
        approved: kept(0b001, approved),
        carrier: kept(0b010, carrier),
        customer: kept(0b100, customer),
    }
}

fn translation() -> Sheet {
    let mut sheet = Sheet::new("product_category_name,product_category_name_english");
    let translated = CATEGORIES.iter().filter(|(_, english)| !english.is_empty());
    sheet.lines = translated
        .map(|(own, english)| vec![(*own).into(), (*english).into()])
        .collect();
    sheet
}

/// Cents as the data set writes them: `12.3` for 1230, `12.0` for 1200.
fn decimal(cents: u64) -> String {
    match (cents / 100, cents % 100) {
        (whole, part) if part % 10 == 0 => format!("{whole}.{}", part / 10),
        (whole, part) => format!("{whole}.{part:02}"),
    }
}

/// Seconds since the start of 2017 as the data set writes times.
fn date(seconds: u64) -> String {
    let (mut year, mut month, mut day) = (2017, 0, seconds / (24 * HOUR));
    let days_in = |year: u64, month: usize| match month {
        1 if year.is_multiple_of(4) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
        if month == 12 {
            (year, month) = (year + 1, 0);
        }
    }
    let of_day = seconds % (24 * HOUR);
    let (hour, minute, second) = (of_day / HOUR, of_day / 60 % 60, of_day % 60);
    format!(
        "{year}-{:02}-{:02} {hour:02}:{minute:02}:{second:02}",
        month + 1,
        day + 1
    )
}
