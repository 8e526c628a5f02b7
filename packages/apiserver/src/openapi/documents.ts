import type { ApiRequest, ApiResponse } from "../api.ts";
import { unknownPath } from "../errors.ts";
import type { KindTable } from "../kind-table.ts";

/** The OpenAPI documents of what is served at the moment. */
export class OpenApiDocuments {
  readonly #kinds: KindTable;

  constructor(kinds: KindTable) {
    this.#kinds = kinds;
  }

  serve(_request: ApiRequest): Promise<ApiResponse> {
    void this.#kinds;
    throw unknownPath();
  }
}
