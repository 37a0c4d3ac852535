"""Hooks of schemathesis: most generated ids become ids of records that exist, so that requests reach the use cases."""

import json
import os
import uuid

import schemathesis

RECORDS = json.loads(os.environ["ERP_RECORDS"])
FIELDS = {"customer_id": "customers", "vendor_id": "vendors", "item_id": "items"}


def existing(kind, generated):
    """Returns the id of a record, chosen by the generated id. Invalid ids, and one id in four, stay as they are."""
    try:
        number = uuid.UUID(generated).int
    except (AttributeError, TypeError, ValueError):
        return generated
    return generated if number % 4 == 0 else RECORDS[kind][number % len(RECORDS[kind])]


def replace_ids(value):
    """Replaces the ids in the fields of a body."""
    if isinstance(value, list):
        return [replace_ids(element) for element in value]
    if isinstance(value, dict):
        return {
            name: existing(FIELDS[name], inner) if name in FIELDS else replace_ids(inner)
            for name, inner in value.items()
        }
    return value


@schemathesis.hook
def map_body(context, body):
    return replace_ids(body)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # A deleted record would be unknown for the rest of the run.
    if not path_parameters or "id" not in path_parameters or context.operation.method.upper() == "DELETE":
        return path_parameters
    # /api/customers/{id}, /api/sales/orders/{id}/pay: the second segment names the kind of record.
    kind = context.operation.path.split("/")[2]
    if kind not in RECORDS:
        return path_parameters
    return {**path_parameters, "id": existing(kind, path_parameters["id"])}
