//! Inboxes that outlive their process.

#[macro_use]
#[path = "../../inbox_conformance/mod.rs"]
mod inbox_conformance;
mod batches;
mod debounce;
mod groups;
mod later;
mod postgres;
mod relay;
mod replies;
mod reset;
mod sagas;
mod sled;
mod unique;
mod waiting;

use ponos::inbox::{Inbox, postgres::PostgresOptions};
use testkit::Postgres;

/// An inbox of the service `shop` in a database of its own, with that one's URL.
async fn opened(database: &str) -> (String, Inbox) {
    let url = Postgres::shared().database(database);
    let inbox = Inbox::postgres(&url, PostgresOptions::new("shop")).await.unwrap();
    (url, inbox)
}

fn sql(database: &str, statements: &str) -> String {
    Postgres::shared().sql(database, statements)
}
