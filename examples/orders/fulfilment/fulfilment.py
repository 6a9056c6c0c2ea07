"""Ships the orders of a batch. An order that cannot be shipped goes back to the queue alone, not with its batch."""

import json
import os

import boto3

sqs = boto3.client("sqs")
STOCK = {"tea", "coffee", "cocoa"}


def ship(order):
    for item in order["items"]:
        if item["sku"] not in STOCK:
            raise LookupError(f"order {order['id']}: no {item['sku']} in stock")
    sqs.send_message(QueueUrl=os.environ["SHIPMENTS_QUEUE_URL"], MessageBody=json.dumps({"shipped": order["id"]}))


def handler(event, context):
    failed = []
    for record in event["Records"]:
        attempt = record["attributes"]["ApproximateReceiveCount"]
        try:
            ship(json.loads(record["body"]))
        except LookupError as problem:
            print(f"attempt {attempt}: {problem}")
            failed.append({"itemIdentifier": record["messageId"]})
    print(f"{len(event['Records']) - len(failed)} of {len(event['Records'])} shipped")
    return {"batchItemFailures": failed}
