//! A topology as a document, for whoever makes it on the broker: one of RabbitMQ's own form, of Terraform's, or of Kubernetes's.

use super::{Destination, Permissions, Topology, definitions, kubernetes, terraform};
use serde_json::Value;

/// What a document is to say. Queues that belong to one connection, or that the broker names, can't stand in one and are left
/// out with their bindings.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Exchanges, queues and bindings.
    pub topology: &'a Topology,
    /// Where they are to be.
    pub vhost: &'a str,
    /// What a user may do there.
    pub permissions: Option<&'a Permissions>,
}

impl Document<'_> {
    /// As RabbitMQ imports it (`rabbitmqctl import_definitions FILE`): `{"exchanges": […], "queues": […], "bindings": […]}`, and
    /// `permissions` and `topic_permissions` where there are any. Importing it twice changes nothing; objects that exist with other
    /// arguments stay unchanged, without an error. A user who has permissions must exist.
    pub fn definitions(&self) -> Value {
        definitions::document(self)
    }

    /// As Terraform and OpenTofu read it from a file `*.tf.json`: resources of the provider `cyrilgdn/rabbitmq`, which the module
    /// configures.
    pub fn terraform(&self) -> Value {
        terraform::document(self)
    }

    /// As `kubectl apply` takes it: a list of resources of RabbitMQ's messaging topology operator (`rabbitmq.com/v1beta1`), for
    /// the RabbitmqCluster `cluster`: its name, or `NAMESPACE/NAME` where it is in another namespace than the resources.
    pub fn kubernetes(&self, cluster: &str) -> Value {
        kubernetes::document(self, cluster)
    }

    /// The part that can stand in a document.
    pub(super) fn listed(&self) -> Topology {
        let mut listed = self.topology.clone();
        listed.queues.retain(|queue| !queue.name.is_empty() && !queue.exclusive);
        let queues = &listed.queues;
        listed.bindings.retain(|binding| match &binding.destination {
            Destination::Queue(name) => queues.iter().any(|queue| queue.name == *name),
            Destination::Exchange(_) => true,
        });
        listed
    }
}
