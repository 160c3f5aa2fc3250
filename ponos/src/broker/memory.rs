//! The twin of RabbitMQ on tokio time.
