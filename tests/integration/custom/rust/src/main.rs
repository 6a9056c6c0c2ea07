use lambda_runtime::{service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if let Some(text) = event.payload.get("fail").and_then(Value::as_str) {
        return Err(text.into());
    }
    eprintln!("seen");
    let context = event.context;
    Ok(json!({"n": event.payload["n"], "arn": context.invoked_function_arn, "id": context.request_id,
        "name": context.env_config.function_name, "deadline": context.deadline > 0}))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}
