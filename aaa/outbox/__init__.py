"""
Delivery of the outbox: events that were written with what they tell go to files, webhooks and streams.
"""
