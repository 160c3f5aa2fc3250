//! A broker's URL. Input: the URL; or a user, a cut, a password, a cut, and what follows the `@`.
#![no_main]

use fuzz::pieces;
use ponos_broker::amqp::BrokerUrl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    if let Ok(url) = text.parse::<BrokerUrl>() {
        read(&url);
    }
    let [user, password, rest] = pieces::cut(text);
    let others = format!("{user}{rest}");
    // A password that is a part of something else is shown with it.
    if password.len() < 8 || others.contains(password) || HINTS.iter().any(|hint| hint.contains(password)) {
        return;
    }
    let shown = match format!("amqp://{user}:{password}@{rest}").parse::<BrokerUrl>() {
        Ok(url) => format!("{url} {url:?} {} {}", url.address(), url.vhost()),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(password), "{shown}");
});

/// What is said to everybody.
const HINTS: [&str; 1] = [
    "write it as amqp://user:password@host:5672/vhost (several hosts of a cluster: host-1,host-2:5673), with special characters percent-encoded",
];

fn read(url: &BrokerUrl) {
    assert!(!url.vhost().is_empty() && url.vhost().len() <= 255);
    assert!(url.user().is_none_or(|user| user.len() <= 255));
    assert!((1..=16).contains(&url.hosts().len()), "{url}");
    for (at, host) in url.hosts().iter().enumerate() {
        assert!(host.port() > 0 && !host.name().is_empty() && host.name().len() <= 253, "{url}");
        assert!(!host.name().contains([',', '@', '/', '?', '#', '%', '[', ']']), "{url}");
        assert!(!url.hosts()[..at].contains(host), "{url}");
    }
    // What is shown, with a password again, is the same broker, where nothing needs an escape.
    let plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    let Some(user) = url.user().filter(|user| plain(user) && plain(url.vhost()) && !user.contains('/'))
    else {
        return;
    };
    let shown = url.to_string();
    let again: BrokerUrl =
        shown.replacen("***", "x", 1).parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!((again.hosts(), again.vhost(), again.user()), (url.hosts(), url.vhost(), Some(user)));
    assert_eq!(again.is_tls(), url.is_tls());
}
