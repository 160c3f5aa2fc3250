//! The whole configuration from its layers. The built-in defaults stand here; `config.toml` shows the same (a test
//! compares them).

use super::{
    BrokerConfig, BrokerUrl, CalendarSource, ChangesConfig, ClusterConfig, ClusterSecret, Config, DEFAULT,
    DelayedConfig, LimitsConfig, LogConfig, LogFormat, MetricsConfig, PublishConfig, RecordConfig, Request,
    ScheduleSource, ShutdownConfig, StoreConfig, StorePath, StoreUrl, TlsConfig, ceilings, clock,
    cluster_secret::LEAST_BYTES, commands, http, keys, layers, reader::Reader, reports, traces,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Text},
    http::client::Target,
    postgres,
};
use ponos::{files, log_filter};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Bytes of a configuration or a secret's file.
const MOST_BYTES: u64 = 1 << 20;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Reads the file and builds the configuration; what is wrong has its default.
pub(super) fn build(request: &Request) -> (Config, Diagnostics) {
    let mut faults = Diagnostics::default();
    let found = request.file.clone().or_else(|| {
        let usual = PathBuf::from("config.toml");
        usual.is_file().then_some(usual)
    });
    let source = match &found {
        None => DEFAULT.to_owned(),
        Some(file) => files::read_text(file, MOST_BYTES).unwrap_or_else(|error| {
            let help = "name an existing file with --config, or leave it out for the built-in default";
            let message = format!("the configuration can't be read: {error}");
            faults.push(Diagnostic::error(message).in_file(&file.display().to_string()).help(help));
            String::new()
        }),
    };
    let name = found.as_ref().map_or("<built-in config.toml>".to_owned(), |file| file.display().to_string());
    let text = Text::new(&name, &source).masked(keys::may_be_shown);
    let values = layers::read(&text, request, &mut faults);
    let folder = found.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    let mut reader = Reader { text: &text, values, folder, faults };
    let broker = broker(&mut reader);
    let config = Config {
        clock: clock::clock(&mut reader),
        schedules: schedules(&mut reader),
        keep_finished: reader.duration("schedules.keep_finished", DAY, 3_660 * DAY),
        calendars: reader.path("calendars.folder").map_or(CalendarSource::Beside, CalendarSource::Folder),
        limits: LimitsConfig {
            shortest_interval: reader.duration("limits.shortest_interval", Duration::from_millis(100), DAY),
            rate: reader.integer("limits.rate", 10_000, 1..=1_000_000),
            schedules: reader.integer("limits.schedules", 2_000_000, 1..=2_000_000),
        },
        publish: PublishConfig {
            in_flight: reader.integer("publish.in_flight", 10_000, 1..=1_000_000),
            resends: reader.integer("publish.resends", 5, 0..=100),
            resend_over: reader.duration("publish.resend_over", 10 * MINUTE, DAY),
            watermark: reader
                .is_set("publish.watermark")
                .then(|| reader.duration("publish.watermark", MINUTE, DAY)),
            ceilings: ceilings::ceilings(&mut reader),
        },
        store: store(&mut reader),
        cluster: cluster(&mut reader),
        record: RecordConfig {
            max_rows: reader.integer("record.max_rows", 1_000_000, 1_000..=1_000_000_000),
            max_age: reader.duration("record.max_age", 30 * DAY, 36_500 * DAY),
        },
        changes: ChangesConfig {
            max_entries: reader.integer("changes.max_entries", 100_000, 1_000..=1_000_000_000),
            max_age: reader.duration("changes.max_age", 366 * DAY, 36_500 * DAY),
        },
        delayed: DelayedConfig {
            record: RecordConfig {
                max_rows: reader.integer("delayed.record.max_rows", 1_000_000, 1_000..=1_000_000_000),
                max_age: reader.duration("delayed.record.max_age", 90 * DAY, 36_500 * DAY),
            },
            changes: ChangesConfig {
                max_entries: reader.integer("delayed.changes.max_entries", 100_000, 1_000..=1_000_000_000),
                max_age: reader.duration("delayed.changes.max_age", 366 * DAY, 36_500 * DAY),
            },
        },
        http: http::http(&mut reader),
        commands: commands::commands(&mut reader, &broker.url),
        reports: reports::reports(&mut reader, &broker.url),
        broker,
        metrics: metrics(&mut reader),
        traces: traces::traces(&mut reader),
        log: LogConfig {
            level: log_level(&mut reader),
            format: reader.choice(
                "log.format",
                LogFormat::Pretty,
                &[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)],
            ),
        },
        shutdown: ShutdownConfig { grace: reader.duration("shutdown.grace", 20 * SECOND, HOUR) },
        file: found.clone(),
    };
    reader.faults.sort();
    (config, reader.faults)
}

fn log_level(reader: &mut Reader<'_>) -> Targets {
    let default = Targets::new().with_default(LevelFilter::INFO);
    match reader.text("log.level").map(|text| log_filter::checked(&text)) {
        None => default,
        Some(Ok(text)) => text.parse().unwrap_or(default),
        Some(Err(wrong)) => {
            reader.fault("log.level", &wrong.what, wrong.help);
            default
        }
    }
}

fn schedules(reader: &mut Reader<'_>) -> ScheduleSource {
    match reader.text("schedules.folder").as_deref() {
        Some("none") => return ScheduleSource::None,
        Some("built-in") => return ScheduleSource::Embedded,
        _ => {}
    }
    if let Some(folder) = reader.path("schedules.folder") {
        return ScheduleSource::Folder(folder);
    }
    let beside = reader.folder.join("schedules");
    if beside.is_dir() { ScheduleSource::Folder(beside) } else { ScheduleSource::Unset(beside) }
}

fn broker(reader: &mut Reader<'_>) -> BrokerConfig {
    let (url, url_file) = broker_url(reader);
    let tls = TlsConfig {
        ca_file: reader.path("broker.tls.ca_file"),
        cert_file: reader.path("broker.tls.cert_file"),
        key_file: reader.path("broker.tls.key_file"),
    };
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        let (one, other) = (format!("broker.tls.{one}"), format!("broker.tls.{other}"));
        if reader.text(&one).is_some() && reader.text(&other).is_none() {
            reader.fault(
                &one,
                "a client certificate needs its key, and a key its certificate",
                format!("set {other} too"),
            );
        }
    }
    let encrypted = matches!(&url, BrokerUrl::Amqp(url) if url.is_tls());
    let first = ["broker.tls.ca_file", "broker.tls.cert_file", "broker.tls.key_file"];
    if let Some(key) = first.into_iter().find(|key| !encrypted && reader.text(key).is_some()) {
        let what = format!("TLS is configured, but the broker's URL is {url}");
        reader.fault(key, &what, "write the URL with amqps:// (port 5671), or remove [broker.tls]");
    }
    let exchange = reader.text("broker.exchange").unwrap_or_else(|| "events".to_owned());
    if exchange.is_empty() || exchange.len() > 255 || exchange.starts_with("amq.") {
        let help = "write 1 to 255 bytes that do not begin with 'amq.' (RabbitMQ reserves those names)";
        reader.fault("broker.exchange", &format!("'{exchange}' is not an allowed exchange name"), help);
    }
    // What the URL's parameters say is the default.
    let (mut connect_timeout, mut heartbeat) = (10 * SECOND, 15 * SECOND);
    if let BrokerUrl::Amqp(url) = &url {
        connect_timeout = url.connect_timeout().unwrap_or(connect_timeout);
        heartbeat = url.heartbeat().map_or(heartbeat, |seconds| Duration::from_secs(seconds.into()));
    }
    BrokerConfig {
        url,
        url_file,
        exchange,
        fanout: reader.boolean("broker.fanout", false),
        window: reader.integer("broker.window", 2_000, 1..=100_000),
        channels: reader.integer("broker.channels", 1, 1..=64),
        connect_timeout: reader.duration("broker.connect_timeout", connect_timeout, 10 * MINUTE),
        heartbeat: reader.duration("broker.heartbeat", heartbeat, 10 * MINUTE),
        confirm_timeout: reader.duration("broker.confirm_timeout", 30 * SECOND, HOUR),
        tls,
    }
}

/// Which broker, and the file that says so.
fn broker_url(reader: &mut Reader<'_>) -> (BrokerUrl, Option<PathBuf>) {
    let (direct, by_file) = (reader.rank("broker.url"), reader.rank("broker.url_file"));
    if direct.is_some() && direct == by_file {
        let help = "keep one of them (broker.url_file reads the URL from a file, so that it stays secret)";
        reader.fault("broker.url_file", "both broker.url and broker.url_file are given", help);
        return (BrokerUrl::Memory, None);
    }
    let mut key = "broker.url";
    let mut text = reader.text(key).unwrap_or_else(|| "memory:".to_owned());
    let mut file = None;
    if by_file > direct {
        key = "broker.url_file";
        file = reader.path(key);
        let Some(file) = &file else { return (BrokerUrl::Memory, None) };
        text = match files::read_text(file, MOST_BYTES) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("the file {} can't be read: {error}", file.display());
                reader.fault(key, &what, "it must hold the broker's URL and be readable by the clock's user");
                return (BrokerUrl::Memory, None);
            }
        };
    }
    match BrokerUrl::parse(&text) {
        Ok(url) => (url, file),
        Err(error) => {
            reader.fault(key, &error.what, format!("{}, or memory:", error.remedy));
            (BrokerUrl::Memory, None)
        }
    }
}

fn store(reader: &mut Reader<'_>) -> StoreConfig {
    let (path, url_file) = store_path(reader);
    let schema = reader.text("store.schema").unwrap_or_else(|| "khronos".to_owned());
    if let Err(error) = postgres::check_schema(&schema) {
        reader.fault(
            "store.schema",
            &error.to_string(),
            "write the name of a schema of Postgres, such as khronos",
        );
    }
    StoreConfig { path, url_file, schema, cache: reader.size("store.cache", 8 << 20, 1 << 20..=16 << 30) }
}

fn cluster(reader: &mut Reader<'_>) -> ClusterConfig {
    let address = reader.text("cluster.address");
    if address.as_deref().is_some_and(|address| Target::from_url(address).is_err()) {
        let help = "write where other clocks reach this one's HTTP: https://clock-1.internal:7650";
        reader.fault("cluster.address", "this is not the URL of a clock's HTTP", help);
    }
    let (secret, secret_file) = cluster_secret(reader);
    ClusterConfig { address, ca_file: reader.path("cluster.ca_file"), secret, secret_file }
}

/// What the clocks of one name share, and the file that has it.
fn cluster_secret(reader: &mut Reader<'_>) -> (Option<ClusterSecret>, Option<PathBuf>) {
    let key = "cluster.secret_file";
    let Some(file) = reader.path(key) else { return (None, None) };
    let help = format!(
        "it must hold {LEAST_BYTES} bytes or more, the same for all clocks of this name (openssl rand -hex 32), and be readable by the clock's user"
    );
    let secret = match files::read_text(&file, MOST_BYTES) {
        Ok(text) => {
            let secret = ClusterSecret::new(text.trim());
            if secret.is_none() {
                reader.fault(key, &format!("the file {} holds too little", file.display()), help);
            }
            secret
        }
        Err(error) => {
            reader.fault(key, &format!("the file {} can't be read: {error}", file.display()), help);
            None
        }
    };
    (secret, Some(file))
}

/// Where the state is kept, and the file that says so.
fn store_path(reader: &mut Reader<'_>) -> (StorePath, Option<PathBuf>) {
    let (direct, by_file) = (reader.rank("store.path"), reader.rank("store.url_file"));
    if direct.is_some() && direct == by_file {
        let help = "keep one of them (store.url_file reads the URL of a Postgres from a file, so that it stays secret)";
        reader.fault("store.url_file", "both store.path and store.url_file are given", help);
        return (StorePath::Memory, None);
    }
    if by_file > direct {
        let key = "store.url_file";
        let Some(file) = reader.path(key) else { return (StorePath::Memory, None) };
        let text = match files::read_text(&file, MOST_BYTES) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("the file {} can't be read: {error}", file.display());
                let help = "it must hold the URL of a Postgres and be readable by the clock's user";
                reader.fault(key, &what, help);
                return (StorePath::Memory, None);
            }
        };
        return (postgres_store(reader, key, &text), Some(file));
    }
    match reader.text("store.path") {
        Some(text) if text == "memory:" => return (StorePath::Memory, None),
        Some(text) if StoreUrl::is_meant(&text) => {
            return (postgres_store(reader, "store.path", &text), None);
        }
        Some(text) if text.contains("://") => reader.fault(
            "store.path",
            "this is a URL, but not that of a Postgres",
            "write a path, postgres://user:password@host:5432/database, or \"memory:\"",
        ),
        _ => {}
    }
    let default = reader.folder.join("khronos-data");
    (StorePath::Folder(reader.path("store.path").unwrap_or(default)), None)
}

fn postgres_store(reader: &mut Reader<'_>, key: &str, text: &str) -> StorePath {
    match StoreUrl::parse(text) {
        Ok(url) => StorePath::Postgres(url),
        Err(error) => {
            reader.fault(key, &error.to_string(), "write postgres://user:password@host:5432/database");
            StorePath::Memory
        }
    }
}

fn metrics(reader: &mut Reader<'_>) -> MetricsConfig {
    let MetricsConfig { schedules, audit_every } = MetricsConfig::default();
    MetricsConfig {
        schedules: reader.integer("metrics.schedules", schedules, 0..=20_000),
        audit_every: reader.duration("metrics.audit_every", audit_every, 365 * DAY),
    }
}
