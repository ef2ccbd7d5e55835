//! Where the orders come from: the real Olist files, or a made-up sample of the same shape.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tempfile::TempDir;

use crate::sample;

/// The tables of the data set, by the names of their files without `.csv.gz`.
pub(crate) const CUSTOMERS: &str = "olist_customers_dataset";
pub(crate) const ITEMS: &str = "olist_order_items_dataset";
pub(crate) const PAYMENTS: &str = "olist_order_payments_dataset";
pub(crate) const REVIEWS: &str = "olist_order_reviews_dataset";
pub(crate) const ORDERS: &str = "olist_orders_dataset";
pub(crate) const PRODUCTS: &str = "olist_products_dataset";
pub(crate) const SELLERS: &str = "olist_sellers_dataset";
pub(crate) const TRANSLATION: &str = "product_category_name_translation";

/// One line of a file, by the names in its header.
pub(crate) type Record = HashMap<String, String>;

/// A file as it is: its header and its lines.
pub(crate) struct Sheet {
    pub(crate) header: Vec<String>,
    pub(crate) lines: Vec<Vec<String>>,
}

/// A directory with the files of the data set in it.
pub(crate) struct Olist {
    pub(crate) dir: PathBuf,
    /// Whether this is the whole of the real data, about which exact figures are known.
    pub(crate) real: bool,
    _kept: Option<TempDir>,
}

impl Olist {
    /// The real files (`FOLDLINE_OLIST`, else `../shared/data/olist` beside the repository), or
    /// the made-up sample where there are none.
    pub(crate) fn find() -> Self {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/olist");
        let dir = std::env::var_os("FOLDLINE_OLIST").map_or(beside, PathBuf::from);
        if path_of(&dir, ORDERS).is_some() {
            return Self {
                dir,
                real: true,
                _kept: None,
            };
        }
        // Written past the capture of the test harness: whoever runs this is to know.
        let note = format!(
            "NOTE: no Olist files in {}: a made-up sample is used",
            dir.display()
        );
        writeln!(std::io::stderr(), "{note}").expect("standard error is open");
        Self::write(&sample::sheets(&mut crate::dice::Dice::new(20_161_004)))
    }

    /// A data set of these files, in a directory that goes when this goes.
    pub(crate) fn write(sheets: &[(&str, Sheet)]) -> Self {
        let kept = TempDir::new().expect("a temporary directory");
        for (name, sheet) in sheets {
            sheet.write(&kept.path().join(format!("{name}.csv.gz")));
        }
        Self {
            dir: kept.path().to_owned(),
            real: false,
            _kept: Some(kept),
        }
    }

    /// The lines of one file, in the order of the file.
    pub(crate) fn records(&self, name: &str) -> Vec<Record> {
        let sheet = self.sheet(name);
        let named = |line: Vec<String>| sheet.header.iter().cloned().zip(line).collect();
        sheet.lines.into_iter().map(named).collect()
    }

    /// A data set of the first `count` orders of the file and all that belongs to them.
    pub(crate) fn first_orders(&self, count: usize) -> Self {
        let mut orders = self.sheet(ORDERS);
        orders.lines.truncate(count);
        let order_ids = orders.values("order_id");
        let customers = self
            .sheet(CUSTOMERS)
            .only("customer_id", &orders.values("customer_id"));
        let items = self.sheet(ITEMS).only("order_id", &order_ids);
        let products = self
            .sheet(PRODUCTS)
            .only("product_id", &items.values("product_id"));
        let sellers = self
            .sheet(SELLERS)
            .only("seller_id", &items.values("seller_id"));
        Self::write(&[
            (CUSTOMERS, customers),
            (PAYMENTS, self.sheet(PAYMENTS).only("order_id", &order_ids)),
            (REVIEWS, self.sheet(REVIEWS).only("order_id", &order_ids)),
            (PRODUCTS, products),
            (SELLERS, sellers),
            (TRANSLATION, self.sheet(TRANSLATION)),
            (ITEMS, items),
            (ORDERS, orders),
        ])
    }

    fn sheet(&self, name: &str) -> Sheet {
        let path = path_of(&self.dir, name)
            .unwrap_or_else(|| panic!("no {name}.csv.gz in {}", self.dir.display()));
        Sheet::read(&path)
    }
}

impl Sheet {
    /// A file with this header and nothing in it yet.
    pub(crate) fn new(header: &str) -> Self {
        Self {
            header: header.split(',').map(str::to_owned).collect(),
            lines: Vec::new(),
        }
    }

    fn read(path: &Path) -> Self {
        let file = File::open(path).expect("the file opens");
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let bytes: Box<dyn Read> = if packed {
            Box::new(GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut reader = csv::Reader::from_reader(bytes);
        let owned = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
        let header = owned(reader.headers().expect("a header"));
        let lines = reader
            .records()
            .map(|record| owned(&record.expect("a line")))
            .collect();
        Self { header, lines }
    }

    fn write(&self, path: &Path) {
        let file = File::create(path).expect("a file in the temporary directory");
        let mut writer = csv::Writer::from_writer(GzEncoder::new(file, Compression::fast()));
        for line in std::iter::once(&self.header).chain(&self.lines) {
            writer.write_record(line).expect("a written line");
        }
        let mut packed = writer.into_inner().expect("written lines");
        packed.flush().expect("a written file");
        packed.finish().expect("a finished file");
    }

    fn column(&self, name: &str) -> usize {
        self.header
            .iter()
            .position(|column| column == name)
            .expect("a known column")
    }

    fn values(&self, name: &str) -> HashSet<String> {
        let column = self.column(name);
        self.lines.iter().map(|line| line[column].clone()).collect()
    }

    fn only(mut self, name: &str, among: &HashSet<String>) -> Self {
        let column = self.column(name);
        self.lines.retain(|line| among.contains(&line[column]));
        self
    }
}

fn path_of(dir: &Path, name: &str) -> Option<PathBuf> {
    [format!("{name}.csv.gz"), format!("{name}.csv")]
        .into_iter()
        .map(|file| dir.join(file))
        .find(|path| path.is_file())
}
