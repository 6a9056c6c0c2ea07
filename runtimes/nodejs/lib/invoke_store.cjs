'use strict';

const KEYS = {
  REQUEST_ID: Symbol.for('_AWS_LAMBDA_REQUEST_ID'),
  X_RAY_TRACE_ID: Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID'),
  TENANT_ID: Symbol.for('_AWS_LAMBDA_TENANT_ID'),
};

/** `awslambda.InvokeStore`: values tied to the invocation under way, shared by libraries that look for it. */
class InvokeStore {
  #values;

  getContext() {
    return this.#values;
  }

  hasContext() {
    return this.#values !== undefined;
  }

  get(key) {
    return this.#values?.[key];
  }

  /** Throws for the keys that the runtime itself sets. */
  set(key, value) {
    if (Object.values(KEYS).includes(key)) {
      throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    }
    this.#values = this.#values ?? {};
    this.#values[key] = value;
  }

  getRequestId() {
    return this.get(KEYS.REQUEST_ID) ?? '-';
  }

  getXRayTraceId() {
    return this.get(KEYS.X_RAY_TRACE_ID);
  }

  getTenantId() {
    return this.get(KEYS.TENANT_ID);
  }

  /** Runs `action` with `values` as the store's content; they stay until the next run. */
  run(values, action) {
    this.#values = values;
    return action();
  }
}

/** Returns the runtime's way to run an invocation inside the store. */
function installInvokeStore() {
  const store = new InvokeStore();
  if (globalThis.awslambda !== undefined) globalThis.awslambda.InvokeStore = store;
  return {
    run(context, action) {
      const values = { [KEYS.REQUEST_ID]: context.awsRequestId, [KEYS.X_RAY_TRACE_ID]: context.xRayTraceId };
      if (context.tenantId) values[KEYS.TENANT_ID] = context.tenantId;
      return store.run(values, action);
    },
  };
}

module.exports = { installInvokeStore };
