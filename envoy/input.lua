local input = {}
function input.on_request(handle) end
return input
