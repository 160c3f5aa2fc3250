//! AsyncAPI 3.0 documents: what a service, or the clock, sends and receives (docs/contracts.md). The model is that of
//! [`ponos_event::asyncapi`]; a worker's document is made by [`Worker::asyncapi`](crate::worker::Worker::asyncapi).

use crate::broker::amqp::BrokerUrl;
pub use ponos_event::asyncapi::{Address, Channel, Document, Payload, Server, Unwritable};

/// The hosts of a broker's URL, without its user and password.
pub fn servers(url: &BrokerUrl) -> Vec<Server> {
    let server = |host: String| Server { host, is_tls: url.is_tls(), vhost: url.vhost().to_owned() };
    url.hosts().iter().map(|host| server(host.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_each_host_of_the_url_and_nothing_of_the_login() {
        let url = "amqps://shop:hunter2@rabbit-1,rabbit-2:5673/orders".parse().unwrap();
        let found = servers(&url);
        let hosts: Vec<&str> = found.iter().map(|server| server.host.as_str()).collect();
        assert_eq!(hosts, ["rabbit-1:5671", "rabbit-2:5673"]);
        assert!(found.iter().all(|server| server.is_tls && server.vhost == "orders"));
        let mut document = Document::new("The service 'shop'");
        document.servers = found;
        let written = document.to_json().to_string();
        assert!(written.contains("rabbit-2:5673") && !written.contains("hunter2"), "{written}");
    }
}
