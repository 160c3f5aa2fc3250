//! A private Postgres starts, obeys, comes back after a kill with what was committed, and leaves nothing behind.

use std::net::TcpStream;
use testkit::Postgres;

#[test]
fn a_server_starts_obeys_is_killed_and_comes_back_with_what_was_committed() {
    let postgres = Postgres::start(true);
    let url = postgres.database("first");
    assert!(url.ends_with("/first"));
    postgres.sql("first", "create table t (n int); insert into t values (1), (2)");
    postgres.pause();
    postgres.unpause();
    assert_eq!(postgres.sql("first", "select n from t order by n"), "1\n2");

    postgres.kill9();
    assert!(TcpStream::connect(("127.0.0.1", postgres.port())).is_err());
    postgres.restart();
    assert_eq!(postgres.sql("first", "select count(*) from t"), "2");

    let port = postgres.port();
    drop(postgres);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn the_shared_server_is_one_and_its_databases_are_apart() {
    let (one, other) = (Postgres::shared(), Postgres::shared());
    assert_eq!(one.port(), other.port());
    one.database("one");
    other.database("other");
    one.sql("one", "create table t (n int)");
    assert_eq!(other.sql("other", "select to_regclass('t') is null"), "t");
}
