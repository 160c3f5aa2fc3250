//! Private RabbitMQ nodes and conditions with deadlines for tests.
