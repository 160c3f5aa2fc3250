//! RabbitMQ through lapin.
