//! Query strings of the read API and the feed, and what our own client writes into them.
#![no_main]

use axum::{extract::Query, http::Uri};
use fuzz::pieces;
use khronos::{
    http::client::encode,
    ops::{feed::Patterns, history::HistoryQuery},
    position::Position,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    if let Ok(uri) = format!("/history?{text}").parse::<Uri>() {
        let _ = Query::<HistoryQuery>::try_from_uri(&uri);
        if let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&uri) {
            let values = |key: &str| {
                pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
            };
            let patterns: Vec<String> = values("match");
            if let Err(wrong) = Patterns::new(patterns) {
                assert!(wrong.to_string().chars().count() < 1_000, "{wrong}");
            }
            let after: Vec<String> = values("after");
            let _ = after.iter().map(|text| text.parse::<Position>()).collect::<Result<Vec<_>, _>>();
        }
    }
    // Whatever the client is given, the clock reads.
    let encoded = encode(text);
    let uri: Uri = format!("/feed?match={encoded}").parse().expect("what is encoded is a part of a URI");
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).expect("it can be read");
    assert_eq!(pairs, [("match".to_owned(), text.to_owned())]);
});
