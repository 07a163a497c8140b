// Starts Swagger UI on the page /docs. The token that a reader pastes stays in this page's memory.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  // No request to validator.swagger.io.
  validatorUrl: null,
});
