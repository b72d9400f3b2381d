export { watchOrder } from "./index.js";
export { connectionText, orderText } from "./texts.js";
