"""Checks the orders of a request and queues the good ones for fulfilment."""

import json
import os

import boto3

sqs = boto3.client("sqs")


def problem_with(order):
    if not isinstance(order, dict) or not order.get("id"):
        return "an order needs an id"
    if not order.get("customer"):
        return "an order needs a customer"
    items = order.get("items")
    if not items:
        return "an order needs items"
    if any(not isinstance(item.get("quantity"), int) or item["quantity"] < 1 for item in items):
        return "every item needs a quantity of at least 1"
    return None


def handler(event, context):
    accepted, rejected = [], []
    for order in event["orders"]:
        problem = problem_with(order)
        if problem:
            rejected.append({"order": order.get("id"), "problem": problem})
        else:
            accepted.append(order)
    # SQS takes ten messages at a time.
    for start in range(0, len(accepted), 10):
        answer = sqs.send_message_batch(
            QueueUrl=os.environ["ORDERS_QUEUE_URL"],
            Entries=[
                {"Id": str(number), "MessageBody": json.dumps(order)}
                for number, order in enumerate(accepted[start : start + 10])
            ],
        )
        if answer.get("Failed"):
            raise RuntimeError(f"the queue did not take {answer['Failed']}")
    print(f"{len(accepted)} orders queued, {len(rejected)} rejected")
    return {"accepted": [order["id"] for order in accepted], "rejected": rejected}
