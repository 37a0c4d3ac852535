//! Routes and handlers.

use axum::extract::State;
use erp_domain::id::Item as ItemMark;
use erp_domain::text::{multi_line, single_line};
use erp_domain::{ItemId, Money, OrderId, Sku, StockChange, StockLevel, Timestamp};
use erp_http::{
    FieldError, Fields, FinanceManager, FromBody, IfMatch, JsonRequest, ListQuery, Manager, PageParams,
    PathId, Problem, ProblemKind, Reader, Reply, RequestInfo, openapi, reply,
};
use erp_service::{Committer, StoredResponse, WriteRequest};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{OpenApi, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::domain::{Adjustment, Item, ItemData, ItemDetails, ItemError, Movement, MovementKind, Stock};
use crate::service::Items;

/// The data of an item.
#[derive(ToSchema)]
struct ItemRequest {
    /// One line.
    #[schema(min_length = 1, max_length = 255, example = "Laptop")]
    name: String,
    /// May have several lines.
    #[schema(required = false, max_length = 2000, example = "14 inch, 32 GB")]
    description: String,
    /// Trimmed, upper-cased, unique.
    sku: Sku,
    /// The price that a sales order charges by default.
    #[schema(schema_with = openapi::money_input)]
    unit_price: Money,
}

impl FromBody for ItemRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.text("name", |text| single_line(text, 1, 255));
        let description = fields.optional_text("description", |text| multi_line(text, 0, 2000));
        let sku = fields.text("sku", Sku::parse);
        let unit_price = fields.decimal("unit_price", Money::parse);
        let description = description?.unwrap_or_default();
        Some(Self { name: name?, description, sku: sku?, unit_price: unit_price? })
    }
}

impl From<ItemRequest> for ItemDetails {
    fn from(request: ItemRequest) -> Self {
        let ItemRequest { name, description, sku, unit_price } = request;
        Self { name, description, sku, unit_price }
    }
}

/// An adjustment of stock: by a number, or to a number.
#[derive(ToSchema)]
#[serde(untagged)]
enum StockRequest {
    /// Adds or removes a number.
    By(ChangeStockRequest),
    /// Sets the quantity.
    SetTo(SetStockRequest),
}

/// Adds or removes a number.
#[derive(ToSchema)]
struct ChangeStockRequest {
    /// The signed change, not 0.
    #[schema(schema_with = stock_change)]
    quantity: StockChange,
    /// The reason, for the movement.
    #[schema(max_length = 500, example = "found in the warehouse")]
    reason: Option<String>,
}

/// Sets the quantity.
#[derive(ToSchema)]
struct SetStockRequest {
    /// The new quantity.
    #[schema(value_type = i64, minimum = 0, maximum = 1_000_000_000_000_i64, example = 50)]
    set_to: StockLevel,
    /// The quantity that the client has seen; 412 if it is another.
    expected: Option<StockLevel>,
    /// The reason, for the movement.
    #[schema(max_length = 500, example = "stocktake")]
    reason: Option<String>,
}

/// The schema of a change of stock: a whole number that is not 0.
fn stock_change() -> Schema {
    let range = |minimum, maximum| {
        let integer = ObjectBuilder::new().schema_type(Type::Integer);
        integer.minimum(Some(minimum)).maximum(Some(maximum)).build()
    };
    let added = range(1, StockLevel::MAX);
    let removed = range(-StockLevel::MAX, -1);
    let one_of = OneOfBuilder::new().item(added).item(removed);
    Schema::OneOf(one_of.description(Some("The signed change, not 0.")).examples([json!(5)]).build())
}

impl FromBody for StockRequest {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let change = fields.optional_integer("quantity", StockChange::new);
        let set_to = fields.optional_integer("set_to", StockLevel::entered);
        let expected = fields.optional_integer("expected", StockLevel::new);
        let reason = fields.optional_text("reason", |text| multi_line(text, 0, 500));
        let mut reject = |name, reason| {
            fields.error(name, reason);
            None
        };
        match (change?, set_to?, expected?) {
            (Some(quantity), None, None) => Some(Self::By(ChangeStockRequest { quantity, reason: reason? })),
            (None, Some(set_to), expected) => {
                Some(Self::SetTo(SetStockRequest { set_to, expected, reason: reason? }))
            }
            (Some(_), Some(_), _) => reject("set_to", "cannot be combined with quantity"),
            (Some(_), None, Some(_)) => reject("expected", "can only be combined with set_to"),
            (None, None, _) => reject("quantity", "is required, or set_to"),
        }
    }
}

fn render_item(item: &Item, participle: &str) -> Result<StoredResponse, serde_json::Error> {
    reply::resource(&format!("Item {participle} successfully"), item, item.version())
}

fn item_created(item: &Item) -> Result<StoredResponse, serde_json::Error> {
    let location = format!("/api/items/{}", item.id());
    reply::created("Item created successfully", item, item.version(), location)
}

/// The stock of an item.
#[derive(Serialize, ToSchema)]
struct StockData {
    item_id: ItemId,
    /// The available quantity.
    quantity: StockLevel,
    updated_at: Timestamp,
}

fn render_stock(stock: &Stock, participle: &str) -> Result<StoredResponse, serde_json::Error> {
    let (item_id, quantity, updated_at) = (stock.item_id(), stock.quantity(), stock.updated_at());
    let data = StockData { item_id, quantity, updated_at };
    reply::resource(&format!("Stock {participle} successfully"), &data, stock.sequence())
}

/// A change of the stock of an item.
#[derive(Serialize, ToSchema)]
struct MovementData {
    id: Uuid,
    item_id: ItemId,
    /// The signed change.
    change: i64,
    kind: MovementKind,
    /// The order; null for an adjustment.
    #[schema(required = true)]
    order_id: Option<OrderId>,
    /// The reason that the user entered, or null.
    #[schema(required = true)]
    reason: Option<String>,
    created_at: Timestamp,
}

impl From<Movement> for MovementData {
    fn from(movement: Movement) -> Self {
        let Movement { id, item_id, change, kind, order_id, reason, at } = movement;
        Self { id, item_id, change, kind, order_id, reason, created_at: at }
    }
}

impl From<ItemError> for Problem {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::NotFound => Self::not_found("Item"),
            ItemError::SkuTaken => {
                Self::new(ProblemKind::DuplicateSku, "Another item has this SKU.").at("/sku", "is taken")
            }
            ItemError::VersionMismatch(found) => Self::version_mismatch(found),
            ItemError::InUse { available, allocated, backordered } => {
                let detail = "The item has stock, is allocated to orders, or is back-ordered.";
                Self::new(ProblemKind::InUse, detail)
                    .with("available", json!(available))
                    .with("allocated", json!(allocated))
                    .with("backordered", json!(backordered))
            }
            ItemError::InsufficientStock { available } => {
                let detail = format!("The stock is {}.", available.get());
                Self::new(ProblemKind::InsufficientStock, detail).with("available", json!(available))
            }
            ItemError::AboveMaximum => {
                let reason = format!("must not raise the stock above {}", StockLevel::MAX);
                Self::invalid(vec![FieldError::body("/quantity", reason)])
            }
            ItemError::UnexpectedQuantity { found } => {
                let detail = format!("The stock is {}: get it again and retry.", found.get());
                Self::new(ProblemKind::VersionMismatch, detail).with("quantity", json!(found))
            }
        }
    }
}

/// The dependencies of the handlers.
#[derive(Clone)]
struct Api {
    items: Items,
    committer: Committer,
}

type Service = State<Api>;

/// Creates the routes with their documentation.
pub fn router(items: Items, committer: Committer) -> OpenApiRouter {
    routes().with_state(Api { items, committer })
}

/// Returns the documentation of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_items, create_item))
        .routes(routes!(get_item, update_item, delete_item))
        .routes(routes!(get_stock, adjust_stock))
        .routes(routes!(list_movements))
}

/// List items, newest first.
#[utoipa::path(get, path = "/api/items", tag = "items", params(PageParams), responses((status = 200, body = [ItemData])))]
async fn list_items(_: Reader, State(api): Service, query: ListQuery) -> Result<Reply, Problem> {
    let page = query.finish()?;
    page.reply("Items retrieved successfully", &api.items.store.list(page.request).await?)
}

/// Create an item.
///
/// Its stock is 0.
#[utoipa::path(post, path = "/api/items", tag = "items", request_body = ItemRequest, responses((status = 201, body = ItemData)))]
async fn create_item(_: Manager, State(api): Service, request: JsonRequest) -> Result<Reply, Problem> {
    let details: ItemDetails = request.read::<ItemRequest>()?.into();
    let decide = || api.items.create(details.clone(), &request.write.cause);
    Ok(api.committer.commit(&request.write, decide, item_created).await?.into())
}

/// Get an item.
#[utoipa::path(get, path = "/api/items/{id}", tag = "items", params(PathId<ItemMark>), responses((status = 200, body = ItemData)))]
async fn get_item(_: Reader, State(api): Service, PathId(id): PathId<ItemMark>) -> Result<Reply, Problem> {
    let (item, _) = api.items.get(id).await?;
    Ok(render_item(&item, "retrieved")?.into())
}

/// Update an item.
#[utoipa::path(put, path = "/api/items/{id}", tag = "items", params(PathId<ItemMark>), request_body = ItemRequest, responses((status = 200, body = ItemData)))]
async fn update_item(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<ItemMark>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let details: ItemDetails = request.read::<ItemRequest>()?.into();
    let decide = || api.items.update(id, details.clone(), &precondition, &request.write.cause);
    let render = |item: &Item| render_item(item, "updated");
    Ok(api.committer.commit(&request.write, decide, render).await?.into())
}

/// Delete an item.
///
/// Its SKU becomes free; orders that name it keep their data. An item that has stock, is allocated to orders or is
/// back-ordered cannot be deleted (409 `in_use`).
#[utoipa::path(delete, path = "/api/items/{id}", tag = "items", params(PathId<ItemMark>), responses(
    (status = 200, body = ItemData),
    (status = 409, description = "in_use", content_type = "application/problem+json", body = ref("#/components/schemas/Problem")),
))]
async fn delete_item(
    _: FinanceManager,
    State(api): Service,
    PathId(id): PathId<ItemMark>,
    IfMatch(precondition): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    let write = WriteRequest { cause: info.cause(), key: None };
    let decide = || api.items.delete(id, &precondition, &write.cause);
    let render = |item: &Item| render_item(item, "deleted");
    Ok(api.committer.commit(&write, decide, render).await?.into())
}

/// Get the stock of an item.
#[utoipa::path(get, path = "/api/items/{id}/stock", tag = "stock", params(PathId<ItemMark>), responses((status = 200, body = StockData)))]
async fn get_stock(_: Reader, State(api): Service, PathId(id): PathId<ItemMark>) -> Result<Reply, Problem> {
    let (_, stock) = api.items.get(id).await?;
    Ok(render_stock(&stock, "retrieved")?.into())
}

/// Adjust the stock of an item.
///
/// Added stock fulfils back-orders a moment later.
#[utoipa::path(put, path = "/api/items/{id}/stock", tag = "stock", params(PathId<ItemMark>), request_body = StockRequest, responses((status = 200, body = StockData)))]
async fn adjust_stock(
    _: Manager,
    State(api): Service,
    PathId(id): PathId<ItemMark>,
    IfMatch(precondition): IfMatch,
    request: JsonRequest,
) -> Result<Reply, Problem> {
    let (adjustment, reason) = match request.read()? {
        StockRequest::By(ChangeStockRequest { quantity, reason }) => (Adjustment::By(quantity), reason),
        StockRequest::SetTo(SetStockRequest { set_to: target, expected, reason }) => {
            (Adjustment::SetTo { target, expected }, reason)
        }
    };
    let reason = reason.filter(|text| !text.is_empty());
    let decide = || api.items.adjust(id, adjustment, reason.clone(), &precondition, &request.write.cause);
    let render = |stock: &Stock| render_stock(stock, "updated");
    Ok(api.committer.commit(&request.write, decide, render).await?.into())
}

/// List the movements of an item, newest first.
///
/// They add up to the stock.
#[utoipa::path(get, path = "/api/items/{id}/movements", tag = "stock", params(PathId<ItemMark>, PageParams), responses((status = 200, body = [MovementData])))]
async fn list_movements(
    _: Reader,
    State(api): Service,
    PathId(id): PathId<ItemMark>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let movements = api.items.movements(id, page.request).await?;
    let movements = movements.try_map(|movement| Ok::<_, Problem>(MovementData::from(movement)))?;
    page.reply("Movements retrieved successfully", &movements)
}
