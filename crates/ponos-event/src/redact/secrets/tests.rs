//! What is hidden, in each spelling, and what is not.

use super::{super::redact, *};

#[test]
fn a_secret_is_found_by_its_name_wherever_it_stands() {
    for (text, shown) in [
        ("http://h/s?token=hunter2", "http://h/s?token=***"),
        ("'http://h/s?token=hun ter2&x=1' is none", "'http://h/s?token=***&x=1' is none"),
        ("http://h/s?a=1&Access_Token=hunter2&x=1, then", "http://h/s?a=1&Access_Token=***&x=1, then"),
        ("amqp://h/v?password=hun'ter2", "amqp://h/v?password=***"),
        ("amqp://h/v?pass=hunter2 and more", "amqp://h/v?pass=*** and more"),
        ("amqp://u:hunter2@h/v?password=hunter2&heartbeat=5", "amqp://u:***@h/v?password=***&heartbeat=5"),
        ("'sled:/a?api_key=hunter2'", "'sled:/a?api_key=***'"),
        ("host=h password=hunter2 user=u", "host=h password=*** user=u"),
        ("host=h password='hun ter2' user=u", "host=h password='***' user=u"),
        ("password = \"hunter2\"", "password = \"***\""),
        ("--db-pass=hunter2", "--db-pass=***"),
        ("{\"secret\": \"hunter2\", \"n\": 1}", "{\"secret\": \"***\", \"n\": 1}"),
        ("invalid value 'host=h password=hunter2' for", "invalid value 'host=h password=***' for"),
        ("\u{1b}[33m?sig=hunter2\u{1b}[0m'", "\u{1b}[33m?sig=***\u{1b}[0m'"),
        ("password=password=hunter2", "password=***"),
        ("{\"token\":9000,\"error\":\"limit\"}", "{\"token\":***,\"error\":\"limit\"}"),
        ("[{\"pwd\":9000}]", "[{\"pwd\":***}]"),
        ("accessToken=hunter2", "accessToken=***"),
        ("Config { user: \"u\", password: \"hunter2\" }", "Config { user: \"u\", password: \"***\" }"),
        ("Config { password: \"hun\\\", ter2\", n: 1 }", "Config { password: \"***\", n: 1 }"),
        ("Config { password: Some(\"hun ter2\") }", "Config { password: Some(\"***\") }"),
        ("Config { token: Some(Secret(\"hunter2\")) }", "Config { token: Some(Secret(\"***\")) }"),
        ("{\"authorization\": \"Bearer hunter2\"}", "{\"authorization\": \"***\"}"),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("authorization=Bearer hunter2 and", "authorization=*** and"),
        ("Proxy-Authorization: basic hunter2, then", "Proxy-Authorization: ***, then"),
        ("-H 'Authorization: Bearer hunter2' is", "-H 'Authorization: ***' is"),
        ("host=h password=hun&ter2 user=u", "host=h password=*** user=u"),
        ("\"{\\\"password\\\":\\\"hunter2\\\"}\"", "\"{\\\"password\\\":\\\"***\\\"}\""),
        ("{\\\"password\\\":\\\"hun, ter2\\\",\\\"n\\\":1}", "{\\\"password\\\":\\\"***\\\",\\\"n\\\":1}"),
        ("clone https://ghp_hunter2@github.com/x", "clone https://***@github.com/x"),
        ("https://hunter2:@github.com/x", "https://***@github.com/x"),
        ("https://hunter2:x-oauth-basic@github.com/x", "https://***@github.com/x"),
        ("AccountName=a;AccountKey=hunter2==", "AccountName=a;AccountKey=***"),
        ("private_key=hunter2", "private_key=***"),
        ("api_key=hunter2", "api_key=***"),
        ("Api { api_key: \"hunter2\" }", "Api { api_key: \"***\" }"),
        ("http://h/?a=1&key=hunter2&x=1", "http://h/?a=1&key=***&x=1"),
        ("http://h/?key=hunter2", "http://h/?key=***"),
        ("mailto:u:hunter2@h", "mailto:u:***@h"),
        ("amqp://u:12345/6@h", "amqp://u:***@h"),
        ("http://u:hun/ter2@h", "http://u:***@h"),
    ] {
        assert_eq!(redact(text), shown, "{text}");
        assert_eq!(redact(shown), shown, "what is hidden stays as it is");
    }
}

#[test]
fn the_secret_of_a_clocks_token_is_hidden_and_its_id_is_shown() {
    for (text, shown) in [
        ("kh_1f2e3d4c_hunter2-hunter2_hunter2", "kh_1f2e3d4c_***"),
        ("the file 'kh_1f2e3d4c_hunter2' is not there", "the file 'kh_1f2e3d4c_***' is not there"),
        ("xkh_1f2e3d4c_hunter2.", "xkh_1f2e3d4c_***."),
        ("kh_1f2e3d4c_hunter2 kh_kh_1f2e3d4c_hunter2", "kh_1f2e3d4c_*** kh_kh_1f2e3d4c_***"),
        ("http://h/kh_1f2e3d4c_hunter2?x=1", "http://h/kh_1f2e3d4c_***?x=1"),
    ] {
        assert_eq!(redact(text), shown, "{text}");
        assert_eq!(redact(shown), shown, "what is hidden stays as it is");
    }
    for text in ["kh_1f2e3d4c", "kh_1f2e3d4c_", "kh_1f2e3d_4c_x", "kh_", "kh_über3d4c_x", "a kh_1f2e3d4c and"]
    {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn several_hosts_of_a_cluster_are_shown_and_the_password_before_them_is_not() {
    for (text, shown) in [
        (
            "amqp://u:hunter2@rabbit-1,rabbit-2:5673,[::1]:5672/v",
            "amqp://u:***@rabbit-1,rabbit-2:5673,[::1]:5672/v",
        ),
        ("amqp://u:hun,ter2@rabbit-1,rabbit-2", "amqp://u:***@rabbit-1,rabbit-2"),
        ("u:hunter2@rabbit-1,rabbit-2:5673", "u:***@rabbit-1,rabbit-2:5673"),
        ("amqp:/u:hunter2@rabbit-1,rabbit-2:5673", "amqp:***@rabbit-1,rabbit-2:5673"),
        ("amqp://u:hunter2@a,amqp://u:hunter2@b", "amqp://u:***@a,amqp://u:***@b"),
        // cut off before its '@'
        ("amqp://u:12,hunter2", "amqp://u:***"),
        ("amqp://u:12,hunter2,x:12", "amqp://u:***"),
        ("amqp://u:12,hun:ter2/v", "amqp://u:***/v"),
        ("amqp://u:12,hunter2:99", "amqp://u:***"),
        ("amqp://u:,hunter2:1234", "amqp://u:***"),
        ("amqp://u:1,se:cret:22", "amqp://u:***"),
        ("amqp://u:1234,se:cret:5678", "amqp://u:***"),
        ("amqp://u:1234,[hunter2]:5678", "amqp://u:***"),
        ("postgres://u:1234,hunter2:5678", "postgres://u:***"),
    ] {
        assert_eq!(redact(text), shown, "{text}");
        assert_eq!(redact(shown), shown, "what is hidden stays as it is");
    }
    for text in [
        "amqps://rabbit-1:5671,rabbit-2:5671,[::1]:5671/v",
        "publishing to amqps://rabbit-1:5671,rabbit-2:5671.",
        "amqp://rabbit-1,rabbit-2",
        "write amqp://user:password@host-1,host-2:5673/vhost",
        "write it as amqp://user:password@host:5672/vhost (several hosts of a cluster: host-1,host-2:5673), with …",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_mistyped_url_hides_what_it_would_if_it_were_right() {
    for (text, shown) in [
        ("amqp:/u:hunter2@h", "amqp:***@h"),
        ("AMQPS:u:hunter2@h/v", "AMQPS:***@h/v"),
        ("amqp//u:hunter2@h", "amqp//u:***@h"),
        ("amqp;//u:hunter2@h", "amqp;//u:***@h"),
        ("amqp:\\\\u:hunter2@h", "amqp:***@h"),
        ("amqp:///u:hunter2@h", "amqp:///u:***@h"),
        ("amqp/u:hunter2@h", "amqp/u:***@h"),
        ("amqp:://u:hunter2@h", "amqp:***@h"),
        ("amqp.u:hunter2@h", "amqp.u:***@h"),
        ("u:hunter2@h", "u:***@h"),
        ("u:hun@ter2@h:5672", "u:***@h:5672"),
        ("url=u:hunter2@h", "url=u:***@h"),
        ("u:hunter2@amqp://h", "u:***@amqp://h"),
        ("u:hunter2@h and v:hunter2@i", "u:***@h and v:***@i"),
        ("'u:hun ter2@h' is none", "'u:***@h' is none"),
        ("'amqp:/u:hun ter2@h' is none", "'amqp:***@h' is none"),
        ("'u:hun'ter2@h' is none", "'u:***@h' is none"),
        ("x:amqp:/hunter2@h", "x:***@h"),
        ("u:hunter2://x@h", "u:***@h"),
        ("amqp:/u:hunter2", "amqp:/u:***"),
        ("postgres:u:hunter2", "postgres:u:***"),
    ] {
        assert_eq!(redact(text), shown, "{text}");
        assert_eq!(redact(shown), shown, "what is hidden stays as it is");
    }
}

#[test]
fn what_holds_no_secret_is_left_as_it_is() {
    for text in [
        "2026-12-01T09:00:00.123Z WARN failed: me@home",
        "ponos::inbox::postgres::store: 5 rows for me@home",
        "git@github.com:x/y",
        "write postgres://user:password@host/database",
        "write it as user:password@host",
        "a=1 b=\"x\" routing_key=a.b next=2",
        "no password: see the file",
        "http: see http:8080 and amqp:5672",
        "heartbeat=5&frame_max=8192",
        "no answer from http://api:8080/orders: connection refused; tell ops@shop.example",
        "can't consume from amqp://rabbit:5672: closed; tell ops@shop.example",
        "error sending request for url (http://users:8080/by-mail/jane@x.y): timed out",
        "no answer from http://api/orders: connection refused; tell ops@shop.example",
        "500: {\"instance\":\"http://api/orders/7\",\"detail\":\"card of jane@shop.example was refused\"}",
        "{\"max_tokens\":9000,\"error\":\"limit_is_8192\"}",
        "max_tokens=9000",
        "docker.io/app:1.2@sha256:abcd",
        "docker://app:1.2@sha256:abcd",
        "mailto:a@x.y",
        "<MAILTO:a@x.y>",
        "bypass=1",
        "write https://user@host/x",
        "key=orders routing_key=a",
        "Authorization: see RFC 9110; www-authenticate: Basic realm",
    ] {
        assert!(secrets(text).is_empty(), "{text}: {}", redact(text));
    }
}

#[test]
fn no_line_takes_much_longer_than_its_length() {
    for piece in [
        "amqp:",
        "amqp//",
        "amqp:x ",
        "a@",
        "'a:b ",
        "'a:b'c",
        "pass=",
        "\"pass\":",
        ":",
        "x=\"",
        "amqp;//",
        "u:P@",
        "'x?token=",
        "'x?token=a&",
        "pass=&",
        "http://x:1/ ",
        "http;\\",
        "https://x@",
        "amqp://u:1:",
        "pass:Some(\"",
        "pass:S(S(S(",
        "\\\"pass\\\":\\\"",
        "auth=Bearer ",
    ] {
        let look = |text: &str| assert!(secrets(text).iter().all(|range| range.end <= text.len()), "{piece}");
        let (tenth, whole) = (piece.repeat(30_000), piece.repeat(300_000));
        testkit::assert_in_proportion(piece, || look(&tenth), || look(&whole));
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_the_places_are_in_order_and_between_characters(text in "[a-z@:=/'\" é\n]{0,60}|\\PC{0,60}") {
        let mut last = 0;
        for range in secrets(&text) {
            proptest::prop_assert!(last <= range.start && range.start < range.end);
            proptest::prop_assert!(text.get(range.clone()).is_some());
            last = range.end;
        }
    }

    #[test]
    fn whatever_a_password_is_made_of_it_is_hidden(password in "[!-~]{3,30}", start in "amqp:|amqp:/|amqp//|postgres:|http;//|") {
        proptest::prop_assume!(!password.contains("://") && !password.contains(['\'', '"', '`']));
        let shown = redact(&format!("see '{start}me:{password}@home.example/v', then")).into_owned();
        proptest::prop_assert!(shown.ends_with("***@home.example/v', then"), "{}", shown);
        let shown = redact(&format!("see 'http://h/?a=b&token={password}', then")).into_owned();
        let first = password.split('&').next().unwrap_or_default();
        proptest::prop_assert!(first.len() < 4 || !shown.contains(first), "{}", shown);
    }
}
