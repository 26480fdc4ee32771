"""RabbitMQ over kombu and py-amqp; the only folder that imports them."""
