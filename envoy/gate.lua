local gate = {}
function gate.on_request(handle) end
return gate
