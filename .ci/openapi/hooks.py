"""Hooks of schemathesis: most generated ids become ids of records that exist, so that requests reach the use cases, and
amounts get two decimals."""

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


def replace_field(name, value):
    """Replaces the value of a field of a body."""
    if name in FIELDS:
        return existing(FIELDS[name], value)
    if name == "unit_price" and isinstance(value, float):
        # The schema cannot limit the decimals of a number: `multipleOf` compares binary fractions.
        return round(value, 2)
    return replace_fields(value)


def replace_fields(value):
    """Replaces the values of the fields of a body."""
    if isinstance(value, list):
        return [replace_fields(element) for element in value]
    if isinstance(value, dict):
        return {name: replace_field(name, inner) for name, inner in value.items()}
    return value


@schemathesis.hook
def map_body(context, body):
    return replace_fields(body)


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
