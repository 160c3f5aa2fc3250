//! What is read of a URL, what is refused, and that no password is shown.

use super::*;

#[test]
fn a_url_is_parsed_and_never_shows_its_password() {
    let url: BrokerUrl =
        "amqp://us%40er:pa%2Fss@broker:1234/v%2fh?heartbeat=7&connection_timeout=900".parse().unwrap();
    assert_eq!((url.user(), url.vhost()), (Some("us@er"), "v/h"));
    assert_eq!(url.address(), "broker:1234");
    assert_eq!((url.heartbeat(), url.connect_timeout()), (Some(7), Some(Duration::from_millis(900))));
    for shown in [format!("{url:?}"), url.to_string()] {
        assert!(!shown.contains("pa/ss") && !shown.contains("pa%2Fss"), "{shown}");
    }
}

#[test]
fn a_missing_or_empty_vhost_is_the_default_one() {
    for url in ["amqp://localhost", " amqp://localhost/\n", "amqp://localhost/%2f"] {
        assert_eq!(url.parse::<BrokerUrl>().unwrap().vhost(), "/", "{url}");
    }
    assert_eq!("amqps://[::1]".parse::<BrokerUrl>().unwrap().address(), "[::1]:5671");
}

#[test]
fn several_hosts_of_a_cluster_stand_in_one_url() {
    let url: BrokerUrl =
        "amqp://u:hun,ter2@rabbit-1,rabbit-2:5673,[0:0::1],10.0.0.1/a,b?heartbeat=7".parse().unwrap();
    assert_eq!(url.address(), "rabbit-1:5672,rabbit-2:5673,[::1]:5672,10.0.0.1:5672");
    assert_eq!(url.to_string(), "amqp://u:***@rabbit-1:5672,rabbit-2:5673,[::1]:5672,10.0.0.1:5672/a,b");
    assert_eq!((url.user(), url.vhost(), url.heartbeat()), (Some("u"), "a,b", Some(7)));
    let [_, second, third, _] = url.hosts() else { panic!("{url}") };
    assert_eq!((second.name(), second.port()), ("rabbit-2", 5673));
    let (uri, alone) = (url.on(third).uri(15, 131_072), url.on(third));
    assert_eq!((&*uri.authority.host, uri.authority.port), ("::1", 5672));
    assert_eq!((&*uri.authority.userinfo.password, &*uri.vhost), ("hun,ter2", "a,b"));
    assert_eq!(alone.to_string(), "amqp://u:***@[::1]:5672/a,b");
    let secure: BrokerUrl = "amqps://a,b:1".parse().unwrap();
    assert_eq!(secure.address(), "a:5671,b:1");
    let most: Vec<String> = (1..=16).map(|number| format!("h{number}")).collect();
    let url: BrokerUrl = format!("amqp://{}", most.join(",")).parse().unwrap();
    assert_eq!(url.hosts().len(), 16);
}

#[test]
fn what_can_not_be_used_is_refused_with_the_remedy_and_without_repeating_the_password() {
    for (url, said) in [
        ("", "begin with amqp://"),
        ("localhost", "begin with amqp://"),
        ("hunter2", "begin with amqp://"),
        ("http://u:hunter2@h", "not http://"),
        ("hunter2://h", "begin with amqp://"),
        ("amqp:", "begin with amqp://"),
        ("amqp:u:hunter2@h", "begin with amqp://"),
        ("amqp://", "names no host"),
        ("amqp://u:hunter2@", "names no host"),
        ("amqp://u:hunter2@:5672", "names no host"),
        ("amqp://u:hunter2@h%2fvhost", "neither a name nor an address"),
        ("amqp://u:hunter2@h%3a1", "neither a name nor an address"),
        ("amqp://u:hunter2@h:99999", "1 to 65535"),
        ("amqp://u:hunter2@h:0", "1 to 65535"),
        ("amqp://u:hunter2@h:x/", "1 to 65535"),
        ("amqp://u:hunter2@h:hunter2", "1 to 65535"),
        ("amqp://[::1]x", "follow the ']'"),
        ("amqp://u:hunter2@[::1", "has no ']'"),
        ("amqp://u:hunter2@[hunter2]", "not an IPv6 address"),
        ("amqp://u:hunter2@[fe80::1%25eth0]", "not an IPv6 address"),
        ("amqp://u:hunter2@fe80::1", "brackets"),
        ("amqp://u:hunter2@h:+5672", "1 to 65535"),
        ("amqp://u:hunter2@h:", "1 to 65535"),
        ("amqp://u:hunter2@,h", "host 1 of 2: it names no host"),
        ("amqp://u:hunter2@h,/v", "host 2 of 2: it names no host"),
        ("amqp://u:hunter2@h,:5672/v", "host 2 of 2: it names no host"),
        ("amqp://u:hunter2@h,i:0", "host 2 of 2: the port is not a number"),
        ("amqp://u:hunter2@h,i%2cj", "host 2 of 2: the host is neither a name nor an address"),
        ("amqp://u:hunter2@h;i", "neither a name nor an address"),
        ("amqp://u:hunter2@h,[::1", "host 2 of 2: the '[' before"),
        ("amqp://u:hunter2@h, i", "white space"),
        ("amqp://u:hunter2@h,i,H:5672", "hosts 1 and 3 of 3 are the same"),
        ("amqp://u:hunter2@[::1],[0::1]:5672", "hosts 1 and 2 of 2 are the same"),
        ("amqp://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "17 hosts"),
        ("amqp://u:hunter2@h,amqp://u:hunter2@i", "a list of URLs"),
        ("amqp://u:hun,ter2", "1 to 65535"),
        ("amqp://u:hun#ter2@h", "written %23"),
        ("amqp://u:hunter2@h/v#x", "written %23"),
        ("amqp://u:hun/ter2@h", "written %2F"),
        ("amqp://u:hun?ter2@h", "written %2F"),
        ("amqp://u:hun@ter2@h", "%40"),
        ("amqp://u:hun ter2@h", "%20"),
        ("amqp://u:hun%ter2@h", "written %25"),
        ("amqp://u:hunter2%@h", "written %25"),
        ("amqp://u:hun%fft@h", "malformed"),
        ("amqp://u:hunter2@h/?cacertfile=x", "it has an unknown parameter"),
        ("amqp://u:hunter2@h/?hunter2", "it has an unknown parameter"),
        ("amqp://u:hunter2@h/?heartbeat=soon", "heartbeat is not a whole number from 0 to 65535"),
        ("amqp://u:hunter2@h/?heartbeat=65536", "heartbeat is not a whole number from 0 to 65535"),
        ("amqp://u:hunter2@h/?connection_timeout=0", "in milliseconds"),
        ("amqp://u:hunter2@h/?auth_mechanism=anonymous", "external"),
        ("amqp://u:hunter2@h/?frame_max=100", "at least 8192"),
        ("amqp://u:hunter2@h/?frame_max=8191", "at least 8192"),
        ("amqp://u:hunter2@h/?channel_max=1", "at least 16"),
    ] {
        let error = url.parse::<BrokerUrl>().expect_err(url).to_string();
        assert!(error.contains(said), "{url}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("ter2"), "{error}");
        assert!(error.contains("write it as amqp://user:password@host:5672/vhost"), "{error}");
    }
    for url in ["amqp://h/?frame_max=0&channel_max=0", "amqp://u:p%40@h/v?frame_max=8192&channel_max=16"] {
        assert!(url.parse::<BrokerUrl>().is_ok(), "{url}");
    }
}

#[test]
fn the_url_in_a_file_is_read_and_what_is_wrong_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let error = || BrokerUrl::read(&file).unwrap_err().to_string();
    assert!(error().contains("url with the broker's URL can't be read"), "{}", error());
    std::fs::write(&file, "\n").unwrap();
    assert!(error().contains("is empty"), "{}", error());
    std::fs::write(&file, "amqp://u:hun#ter2@h\n").unwrap();
    assert!(error().contains("written %23") && error().contains("/url: "), "{}", error());
    std::fs::write(&file, "amqp://u:hunter2@h\n").unwrap();
    assert_eq!(BrokerUrl::read(&file).unwrap().address(), "h:5672");
    std::fs::write(&file, "\u{feff}amqp://u:hunter2@h\r\n").unwrap();
    assert_eq!(BrokerUrl::read(&file).unwrap().address(), "h:5672");
    // A URL where a file is meant.
    let error = BrokerUrl::read(Path::new("amqp://u:hunter2@h")).unwrap_err().to_string();
    assert!(error.contains("amqp://u:***@h") && !error.contains("hunter2"), "{error}");
}
