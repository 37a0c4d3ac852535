//! Routes and handlers.

use std::sync::Arc;

use axum::extract::State;
use erp_contracts::Answer;
use erp_domain::item::{Item, ItemDetails};
use erp_domain::order::Order;
use erp_domain::stock::{Adjustment, AdjustmentError, Movement, MovementKind, Stock};
use erp_domain::text::bounded;
use erp_domain::{Id, Money, Sku, StockChange, StockLevel, Timestamp};
use erp_http::paging::Meta;
use erp_http::{
    Body, Fields, FinanceManager, FromBody, Idempotency, IfMatch, Kind, ListQuery, Manager, PathId, Problem,
    Reader, Reply, RequestInfo, openapi,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::items::{Items, Refusal};

/// What a client says of an item.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what ItemDetails is read from")]
struct ItemRequest {
    /// 1 to 255 characters.
    #[schema(example = "Laptop")]
    name: String,
    /// At most 2,000 characters.
    #[schema(example = "14 inch, 32 GB")]
    description: Option<String>,
    /// 1 to 100 characters, upper-cased, unique.
    #[schema(example = "LAP-14-32")]
    sku: String,
    /// At least 0, at most two decimals; a number, or a string.
    #[schema(example = 1800.00)]
    unit_price: f64,
}

/// An item.
#[derive(Serialize, ToSchema)]
struct ItemData {
    #[schema(value_type = Uuid)]
    id: Id<Item>,
    name: String,
    description: String,
    #[schema(value_type = String)]
    sku: Sku,
    #[schema(value_type = f64, example = 1800.00)]
    unit_price: Money,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&Item> for ItemData {
    fn from(item: &Item) -> Self {
        let ItemDetails { name, description, sku, unit_price } = item.details.clone();
        let &Item { id, version, created_at, updated_at, .. } = item;
        Self { id, name, description, sku, unit_price, version, created_at, updated_at }
    }
}

struct ItemForm(ItemDetails);

impl FromBody for ItemForm {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.text("name", ItemDetails::name);
        let description = fields.optional_text("description", ItemDetails::description);
        let sku = fields.text("sku", Sku::parse);
        let unit_price = fields.decimal("unit_price", Money::parse);
        let description = description?.unwrap_or_default();
        Some(Self(ItemDetails { name: name?, description, sku: sku?, unit_price: unit_price? }))
    }
}

/// An adjustment of stock: `quantity` or `set_to`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what an Adjustment is read from")]
struct StockRequest {
    /// So many more, or fewer; not 0.
    #[schema(example = 5)]
    quantity: Option<i64>,
    /// So many there shall be.
    set_to: Option<i64>,
    /// With `set_to`: the quantity that was seen; 412 if it has moved.
    expected: Option<i64>,
    /// Why; at most 500 characters.
    #[schema(example = "found behind the shelf")]
    reason: Option<String>,
}

struct StockForm {
    adjustment: Adjustment,
    reason: Option<String>,
}

impl FromBody for StockForm {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let by = fields.optional_integer("quantity", StockChange::new);
        let set_to = fields.optional_integer("set_to", StockLevel::wanted);
        let expected = fields.optional_integer("expected", StockLevel::new);
        let reason = fields.optional_text("reason", |text| bounded(text, 0, 500));
        let adjustment = match (by?, set_to?, expected?) {
            (Some(change), None, None) => Adjustment::By(change),
            (None, Some(target), expected) => Adjustment::SetTo { target, expected },
            (Some(_), Some(_), _) => {
                fields.fault("set_to", "goes without quantity: give one of them");
                return None;
            }
            (Some(_), None, Some(_)) => {
                fields.fault("expected", "goes with set_to only");
                return None;
            }
            (None, None, _) => {
                fields.fault("quantity", "is required, or set_to");
                return None;
            }
        };
        Some(Self { adjustment, reason: reason?.filter(|text| !text.is_empty()) })
    }
}

/// The stock of an item.
#[derive(Serialize, ToSchema)]
struct StockData {
    #[schema(value_type = Uuid)]
    item_id: Id<Item>,
    #[schema(value_type = i64)]
    quantity: StockLevel,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<&Stock> for StockData {
    fn from(stock: &Stock) -> Self {
        Self { item_id: stock.item_id, quantity: stock.quantity, updated_at: stock.updated_at }
    }
}

/// A change of the stock of an item.
#[derive(Serialize, ToSchema)]
struct MovementData {
    id: Uuid,
    #[schema(value_type = Uuid)]
    item_id: Id<Item>,
    /// By how many.
    change: i64,
    /// `allocated`, `released`, `received` or `adjusted`.
    #[schema(value_type = String)]
    kind: MovementKind,
    /// The order that made it.
    #[schema(value_type = Option<Uuid>)]
    order_id: Option<Id<Order>>,
    /// Why, in the words of the person that made it.
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Movement> for MovementData {
    fn from(movement: &Movement) -> Self {
        let Movement { id, item_id, change, kind, order_id, reason, at } = movement.clone();
        Self { id, item_id, change, kind, order_id, reason, created_at: at }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::not_found("Item"),
            Refusal::SkuTaken => {
                Self::new(Kind::DuplicateSku, "Another item has this SKU.").at("/sku", "is taken")
            }
            Refusal::VersionMismatch(found) => Self::version_mismatch(found),
            Refusal::Adjustment(AdjustmentError::Short { available }) => {
                let detail = format!("There are only {} in stock.", available.get());
                Self::new(Kind::InsufficientStock, detail).with("available", json!(available))
            }
            Refusal::Adjustment(AdjustmentError::TooMany) => {
                let reason = format!("would make a stock of more than {}", StockLevel::MAX);
                Self::invalid(vec![erp_http::FieldError::body("/quantity", reason)])
            }
            Refusal::Adjustment(AdjustmentError::Moved { found }) => {
                let detail = format!("The quantity is {} by now; look again and decide anew.", found.get());
                Self::new(Kind::VersionMismatch, detail).with("quantity", json!(found))
            }
            Refusal::Busy => Self::new(Kind::Conflict, "Others change this at the same time; try again."),
        }
    }
}

type Service = State<Arc<Items>>;

/// The routes, with their description.
pub fn router(items: Items) -> OpenApiRouter {
    routes().with_state(Arc::new(items))
}

/// The description of the routes.
pub fn document() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Arc<Items>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list_items, create_item))
        .routes(routes!(get_item, update_item, delete_item))
        .routes(routes!(get_stock, change_stock))
        .routes(routes!(list_movements))
}

/// Lists the items, newest first.
#[utoipa::path(get, path = "/api/items", tag = "items", params(openapi::ListParams), responses((status = 200, body = [ItemData])))]
async fn list_items(_: Reader, State(items): Service, query: ListQuery) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let found = items.list(page).await?;
    let data: Vec<_> = found.rows.iter().map(ItemData::from).collect();
    Ok(Reply::list("Items retrieved successfully", &data, Meta::new(page, data.len(), found.next))?)
}

/// Creates an item, with a stock of nothing.
#[utoipa::path(post, path = "/api/items", tag = "items", request_body = ItemRequest, responses((status = 201, body = ItemData)))]
async fn create_item(
    _: Manager,
    State(items): Service,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let ItemForm(details) = body.read()?;
    Ok(items.create(details, info.write(key, created)).await?.into())
}

/// Gives an item.
#[utoipa::path(get, path = "/api/items/{id}", tag = "items", params(openapi::IdParam), responses((status = 200, body = ItemData)))]
async fn get_item(_: Reader, State(items): Service, PathId(id): PathId<Item>) -> Result<Reply, Problem> {
    let (item, _) = items.get(id).await?;
    Ok(found(&item)?.into())
}

/// Changes an item.
#[utoipa::path(put, path = "/api/items/{id}", tag = "items", params(openapi::IdParam), request_body = ItemRequest, responses((status = 200, body = ItemData)))]
async fn update_item(
    _: Manager,
    State(items): Service,
    PathId(id): PathId<Item>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let ItemForm(details) = body.read()?;
    Ok(items.update(id, details, &expect, info.write(key, updated)).await?.into())
}

/// Deletes an item. Its SKU is free again; orders that name it keep their data.
#[utoipa::path(delete, path = "/api/items/{id}", tag = "items", params(openapi::IdParam), responses((status = 200, body = ItemData)))]
async fn delete_item(
    _: FinanceManager,
    State(items): Service,
    PathId(id): PathId<Item>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
) -> Result<Reply, Problem> {
    Ok(items.delete(id, &expect, info.write(Idempotency(None), deleted)).await?.into())
}

/// Gives the stock of an item.
#[utoipa::path(get, path = "/api/items/{id}/stock", tag = "stock", params(openapi::IdParam), responses((status = 200, body = StockData)))]
async fn get_stock(_: Reader, State(items): Service, PathId(id): PathId<Item>) -> Result<Reply, Problem> {
    let (_, stock) = items.get(id).await?;
    Ok(stock_found(&stock)?.into())
}

/// Adjusts the stock of an item by hand. What it adds serves the orders that wait for it, a moment later.
#[utoipa::path(put, path = "/api/items/{id}/stock", tag = "stock", params(openapi::IdParam), request_body = StockRequest, responses((status = 200, body = StockData)))]
async fn change_stock(
    _: Manager,
    State(items): Service,
    PathId(id): PathId<Item>,
    IfMatch(expect): IfMatch,
    info: RequestInfo,
    key: Idempotency,
    body: Body,
) -> Result<Reply, Problem> {
    let StockForm { adjustment, reason } = body.read()?;
    Ok(items.adjust(id, adjustment, reason, &expect, info.write(key, stock_changed)).await?.into())
}

/// Lists what changed the stock of an item, newest first. The changes add up to the stock.
#[utoipa::path(get, path = "/api/items/{id}/movements", tag = "stock", params(openapi::IdParam, openapi::ListParams), responses((status = 200, body = [MovementData])))]
async fn list_movements(
    _: Reader,
    State(items): Service,
    PathId(id): PathId<Item>,
    query: ListQuery,
) -> Result<Reply, Problem> {
    let page = query.finish()?;
    let found = items.movements(id, page).await?;
    let data: Vec<_> = found.rows.iter().map(MovementData::from).collect();
    Ok(Reply::list("Movements retrieved successfully", &data, Meta::new(page, data.len(), found.next))?)
}

fn created(item: &Item) -> Result<Answer, serde_json::Error> {
    let location = format!("/api/items/{}", item.id);
    let reply = Reply::created("Item created successfully", &ItemData::from(item), location)?;
    Ok(reply.version(item.version).0)
}

fn found(item: &Item) -> Result<Answer, serde_json::Error> {
    said(item, "Item retrieved successfully")
}

fn updated(item: &Item) -> Result<Answer, serde_json::Error> {
    said(item, "Item updated successfully")
}

fn deleted(item: &Item) -> Result<Answer, serde_json::Error> {
    said(item, "Item deleted successfully")
}

fn said(item: &Item, message: &str) -> Result<Answer, serde_json::Error> {
    Ok(Reply::ok(message, &ItemData::from(item))?.version(item.version).0)
}

fn stock_found(stock: &Stock) -> Result<Answer, serde_json::Error> {
    Ok(Reply::ok("Stock retrieved successfully", &StockData::from(stock))?.version(stock.sequence).0)
}

fn stock_changed(stock: &Stock) -> Result<Answer, serde_json::Error> {
    Ok(Reply::ok("Stock updated successfully", &StockData::from(stock))?.version(stock.sequence).0)
}
